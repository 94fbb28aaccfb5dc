import Foundation
@testable import RecallCommand
import Testing

@Suite struct JSONReadingTests {
    @Test(arguments: [
        #"null"#, #"true"#, #"false"#, #"0"#, #"-0"#, #"12.50"#, #"1e400"#, #"-1.5E-07"#, #"18446744073709551615"#,
        #"123456789012345678901234567890"#, #""""#, #""aé記🙂""#, #"[]"#, #"{}"#, #"[1,[2,[]],{"a":[{}]}]"#,
        #"{"":0,"a":1,"b":{"c":null}}"#, #""\"\\/\n\r\t\u0000\u001f""#,
    ])
    func comesBackAsItWas(_ text: String) throws {
        #expect(try JSONValue(parsing: text).encodedText == text)
    }

    @Test func sortsMembersAndDropsSpace() throws {
        let value = try JSONValue(
            parsing: " {\"b\" : 1 ,\n\t\"a\":[ 1 , 2 ],\r\"é\":0,\"z\":\"\\u00e9\\/\\ud83d\\ude42\"} ")
        #expect(value.encodedText == #"{"a":[1,2],"b":1,"z":"é/🙂","é":0}"#)
    }

    @Test func integersStayExact() throws {
        #expect(try JSONValue(parsing: "9223372036854775807") == .number(JSONNumber(Int64.max)))
        #expect(try JSONValue(parsing: "18446744073709551615") == .number(JSONNumber(UInt64.max)))
        #expect(JSONNumber("18446744073709551615")?.integer(UInt64.self) == .max)
        #expect(JSONNumber("18446744073709551615")?.integer(Int64.self) == nil)
        #expect(JSONNumber("1.0")?.integer(Int.self) == nil)
        #expect(JSONNumber("01") == nil)
        #expect(JSONNumber("") == nil)
    }

    @Test func namesAreEqualByCodePointOnly() throws {
        let value = try JSONValue(parsing: "{\"é\":1,\"e\u{301}\":2}")
        #expect(try value.value(at: "/é") == 1)
        #expect(try value.value(at: "/e\u{301}") == 2)
        #expect(JSONValue.string("é") != JSONValue.string("e\u{301}"))
    }

    @Test(arguments: [
        ("", 0, JSONError.Problem.endsEarly), ("  ", 2, .endsEarly), ("nul", 3, .endsEarly),
        ("nulx", 3, .unexpected(0x78)), ("[1,]", 3, .unexpected(0x5d)), ("[,1]", 1, .unexpected(0x2c)),
        ("[1 2]", 3, .unexpected(0x32)), ("[1", 2, .endsEarly), ("{\"a\"}", 4, .unexpected(0x7d)),
        ("{\"a\":1,}", 7, .unexpected(0x7d)), ("{a:1}", 1, .unexpected(0x61)), ("01", 1, .unexpected(0x31)),
        ("1.", 0, .badNumber), ("-", 0, .badNumber), ("1e", 0, .badNumber), ("+1", 0, .unexpected(0x2b)),
        (".5", 0, .unexpected(0x2e)), ("1 1", 2, .unexpected(0x31)), ("\"a", 2, .endsEarly), ("\"\\", 1, .endsEarly),
        ("\"\\x\"", 1, .badEscape), ("\"\\u12g4\"", 1, .badEscape), ("\"\\u12", 1, .endsEarly),
        ("\"\\ud800\"", 1, .loneSurrogate), ("\"\\udc00\"", 1, .loneSurrogate),
        ("\"\\ud800\\u0041\"", 1, .loneSurrogate),
        ("\"a\nb\"", 2, .controlCharacter), ("{\"a\":1,\"\\u0061\":2}", 7, .duplicateName("a")),
        ("NaN", 0, .unexpected(0x4e)),
    ])
    func saysWhatIsWrongAndWhere(_ text: String, _ offset: Int, _ problem: JSONError.Problem) {
        #expect(throws: JSONError(offset: offset, problem: problem)) { try JSONValue(parsing: text) }
    }

    @Test func refusesWhatIsNotUTF8() {
        #expect(throws: JSONError(offset: 1, problem: .badUTF8)) { try JSONValue(parsing: [0x22, 0xc3, 0x28, 0x22]) }
        #expect(throws: JSONError(offset: 1, problem: .badUTF8)) {
            try JSONValue(parsing: [0x22, 0x5c, 0x6e, 0xed, 0xa0, 0x80, 0x22])
        }
    }

    @Test func boundsDepth() throws {
        let most = JSONValue.maximumDepth
        func nested(_ depth: Int, _ open: String, _ close: String) -> String {
            String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        }
        #expect(throws: Never.self) { try JSONValue(parsing: nested(most, "[", "]")) }
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let error = #expect(throws: JSONError.self) { try JSONValue(parsing: nested(most + 1, open, close)) }
            #expect(error?.problem == .tooDeep)
            #expect(throws: JSONError.self) { try JSONValue(parsing: String(repeating: open, count: 1_000_000)) }
        }
    }

    /// No bytes trap: every prefix of a document, and every document with one byte changed.
    @Test func damagedBytesNeverTrap() {
        let bytes = Array(#"{"a":[1,-2.5e3,"\u00e9\n\ud83d\ude42é"],"b":{"c":null,"d":true}}"#.utf8)
        var read = 0
        for index in bytes.indices {
            #expect(throws: JSONError.self) { try JSONValue(parsing: Array(bytes[..<index])) }
            for byte in UInt8.min ... .max {
                var damaged = bytes
                damaged[index] = byte
                if let value = try? JSONValue(parsing: damaged) {
                    read += 1
                    #expect((try? JSONValue(parsing: value.encoded)) == value)
                }
            }
        }
        #expect(read > bytes.count)
    }

    @Test func travelsWithinAnotherEncodingUntouched() throws {
        let value = try JSONValue(parsing: #"{"n":1.10,"m":[123456789012345678901234567890]}"#)
        #expect(try JSONDecoder().decode(JSONValue.self, from: try JSONEncoder().encode(value)) == value)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(JSONValue.self, from: Data("\"{\"".utf8)) }
    }
}

/// RFC 7396: the example of section 3 and every row of appendix A.
@Suite struct MergePatchTests {
    @Test(arguments: [
        (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
        (#"{"a":"b"}"#, #"{"a":null}"#, #"{}"#),
        (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
        (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
        (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
        (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#),
        (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
        (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#),
        (#"{"a":"foo"}"#, #"null"#, #"null"#),
        (#"{"a":"foo"}"#, #""bar""#, #""bar""#),
        (#"{"e":null}"#, #"{"a":1}"#, #"{"a":1,"e":null}"#),
        (#"[1,2]"#, #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
        (#"{}"#, #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
    func appendixA(_ original: String, _ patch: String, _ result: String) throws {
        var value = try JSONValue(parsing: original)
        value.merge(try JSONValue(parsing: patch))
        #expect(value.encodedText == result)
    }

    @Test func section3() throws {
        var value = try JSONValue(
            parsing: """
                {"title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"},
                 "tags": ["example", "sample"], "content": "This will be unchanged"}
                """)
        value.merge(
            try JSONValue(
                parsing: """
                    {"title": "Hello!", "phoneNumber": "+01-123-456-7890", "author": {"familyName": null},
                     "tags": ["example"]}
                    """))
        let expected = try JSONValue(
            parsing: """
                {"title": "Hello!", "author": {"givenName": "John"}, "tags": ["example"],
                 "content": "This will be unchanged", "phoneNumber": "+01-123-456-7890"}
                """)
        #expect(value == expected)
    }

    @Test func section1() throws {
        var value = try JSONValue(parsing: #"{"a": "b", "c": {"d": "e", "f": "g"}}"#)
        value.merge(try JSONValue(parsing: #"{"a":"z", "c": {"f": null}}"#))
        #expect(value == ["a": "z", "c": ["d": "e"]])
    }
}

/// RFC 6901: every example of sections 5 and 6.
@Suite struct JSONPointerTests {
    static let document = """
        {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4,
         "i\\\\j": 5, "k\\"l": 6, " ": 7, "m~n": 8}
        """

    @Test(arguments: [
        ("/foo", #"["bar","baz"]"#), ("/foo/0", #""bar""#), ("/", "0"), ("/a~1b", "1"), ("/c%d", "2"), ("/e^f", "3"),
        ("/g|h", "4"), (#"/i\j"#, "5"), (#"/k"l"#, "6"), ("/ ", "7"), ("/m~0n", "8"),
    ])
    func section5(_ pointer: String, _ expected: String) throws {
        #expect(try JSONValue(parsing: Self.document).value(at: pointer).encodedText == expected)
    }

    @Test func theEmptyPointerIsTheWholeDocument() throws {
        let value = try JSONValue(parsing: Self.document)
        #expect(try value.value(at: "") == value)
        #expect(try value.value(at: try JSONPointer(fragment: "#"), named: "#") == value)
    }

    @Test(arguments: [
        ("#/foo", #"["bar","baz"]"#), ("#/foo/0", #""bar""#), ("#/", "0"), ("#/a~1b", "1"), ("#/c%25d", "2"),
        ("#/e%5Ef", "3"), ("#/g%7Ch", "4"), ("#/i%5Cj", "5"), ("#/k%22l", "6"), ("#/%20", "7"), ("#/m~0n", "8"),
    ])
    func section6(_ fragment: String, _ expected: String) throws {
        let pointer = try JSONPointer(fragment: fragment)
        #expect(try JSONValue(parsing: Self.document).value(at: pointer, named: fragment).encodedText == expected)
    }

    @Test(arguments: [
        ("foo", JSONPointerError.Reason.malformed), ("/m~n", .malformed), ("/m~", .malformed), ("/~2", .malformed),
        ("/nope", .noSuchMember), ("/foo/2", .noSuchElement), ("/foo/-", .noSuchElement), ("/foo/00", .noSuchElement),
        ("/foo/01", .noSuchElement), ("/foo/-1", .noSuchElement), ("/foo/99999999999999999999", .noSuchElement),
        ("/foo/", .noSuchElement), ("/foo/0/x", .notAContainer), ("//x", .notAContainer),
    ])
    func saysWhyNothingIsThere(_ pointer: String, _ reason: JSONPointerError.Reason) throws {
        let value = try JSONValue(parsing: Self.document)
        let error = #expect(throws: JSONPointerError.self) { try value.value(at: pointer) }
        #expect(error?.reason == reason)
        #expect(error?.pointer == pointer)
    }

    @Test(arguments: ["", "/a", "#/%2", "#/%zz", "#/%ff", "#a"])
    func refusesOtherFragments(_ fragment: String) {
        #expect(throws: JSONPointerError.self) { try JSONPointer(fragment: fragment) }
    }

    /// `~01` is `~1`, not `/`: section 4.
    @Test func unescapesOnce() throws {
        #expect(try JSONPointer("/~01").steps == ["~1"])
    }
}
