internal import Foundation

/// Draws what a report says, with gnuplot.
struct Plots {
    let report: Report
    let folder: String

    static var program: String? {
        ["/usr/bin/gnuplot", "/usr/local/bin/gnuplot"].first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    private static let style = """
        set terminal svg size 960,440 font "sans-serif,13" background "white"
        set border 3 lc rgb "#888888"; set tics nomirror; set grid ytics lc rgb "#dddddd"
        set key outside right top vertical Left reverse; set bmargin 4.5
        set linetype 1 lc rgb "#1b6ca8" lw 2 pt 7 ps 0.7; set linetype 2 lc rgb "#d1495b" lw 2 pt 5 ps 0.7
        set linetype 3 lc rgb "#66a182" lw 2 pt 9 ps 0.8; set linetype 4 lc rgb "#edae49" lw 2 pt 11 ps 0.8
        set linetype 5 lc rgb "#6a4c93" lw 2 pt 13 ps 0.8; set linetype 6 lc rgb "#8d99ae" lw 2 pt 7 ps 0.6
        set linetype 7 lc rgb "#2e4057" lw 2 pt 5 ps 0.6

        """

    /// Writes the plots of what was measured; returns their names.
    func draw() throws -> [String] {
        guard let program = Self.program else { throw BenchError("gnuplot is not installed") }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var names: [String] = []
        for (name, script) in [
            ("throughput", throughput), ("latency", latency), ("latency-pipelined", pipelinedLatency),
            ("recovery", recovery), ("storm", storm),
        ] {
            guard let script else { continue }
            let file = folder + "/" + name + ".gnuplot"
            try (Self.style + "set output '\(folder)/\(name).svg'\n" + script)
                .write(toFile: file, atomically: true, encoding: .utf8)
            try Programs.run(program, [file])
            try FileManager.default.removeItem(atPath: file)
            names.append(name + ".svg")
        }
        return names
    }

    /// A setting in three short lines.
    private static func broken(_ setting: String) -> String {
        setting.replacingOccurrences(of: ", ", with: "\\n").replacingOccurrences(of: " conn", with: "\\nconn")
    }

    /// gnuplot takes what follows an underscore for an index.
    private static func plain(_ name: String) -> String { name.replacingOccurrences(of: "_", with: " ") }

    private func contenders(_ figures: [Figure]) -> [String] {
        figures.reduce(into: []) { if !$0.contains($1.contender) { $0.append($1.contender) } }
    }

    private func settings(_ figures: [Figure]) -> [String] {
        figures.reduce(into: []) { if !$0.contains($1.setting) { $0.append($1.setting) } }
    }

    private var throughput: String? {
        let figures = report.figures("alternatives")
        guard !figures.isEmpty else { return nil }
        let names = contenders(figures)
        var data = "$data << end\n"
        for setting in settings(figures) {
            let values = names.map { report.figure("alternatives", setting, $0).map { "\($0.median)" } ?? "NaN" }
            data += "\"\(Self.broken(setting))\" \(values.joined(separator: " "))\n"
        }
        let parts = names.enumerated().map {
            "$data using \($0.offset + 2):xtic(1) title \"\(Self.plain($0.element))\" lt \($0.offset + 1)"
        }
        return data + """
            end
            set style data histograms; set style histogram clustered gap 1; set style fill solid border -1
            set boxwidth 0.95; set logscale y; set format y "10^{%T}"; set ylabel "256-byte updates per second"
            plot \(parts.joined(separator: ", "))

            """
    }

    private var latency: String? {
        latency(
            (report.figures("wire") + report.figures("alternatives")).filter {
                // Recall with a memory log is there already, as `send`.
                $0.setting.hasPrefix("1 connection") && $0.setting.hasSuffix("window 1")
                    && $0.contender != "Recall, memory log"
            }, "one message at a time")
    }

    private var pipelinedLatency: String? {
        latency(
            report.figures("alternatives").filter { $0.setting == "50 connections, window 16" },
            "50 connections, 16 messages under way on each")
    }

    private func latency(_ figures: [Figure], _ title: String) -> String? {
        let figures = figures.filter { $0.latency != nil }
        guard !figures.isEmpty else { return nil }
        var data = "", parts: [String] = []
        for (index, figure) in figures.enumerated() {
            data += "$d\(index) << end\n"
            for (place, name) in ["p50", "p90", "p99", "p99.9"].enumerated() {
                data += "\(place) \(figure.latency?[name] ?? 0) \(name)\n"
            }
            data += "end\n"
            let name = Self.plain(figure.contender)
            parts.append(
                "$d\(index) using 1:2:xtic(3) with linespoints lt \(index + 1) title \"\(name)\""
            )
        }
        return data + """
            set logscale y; set xrange [-0.2:3.2]; set ylabel "microseconds, \(title)"
            plot \(parts.joined(separator: ", "))

            """
    }

    private var recovery: String? {
        lines(
            report.figures("recovery").filter { !$0.contender.hasSuffix("inside the server") }
                + report.figures("typing"),
            x: "updates in the history", y: "seconds until the session answers", \.median)
    }

    private var storm: String? {
        lines(
            report.figures("storm"), x: "sessions that come back at once", y: "seconds until 99 % have answered"
        ) { figure in figure.latency?["p99"].map { $0 / 1e6 } ?? figure.median }
    }

    private func lines(_ figures: [Figure], x: String, y: String, _ value: (Figure) -> Double) -> String? {
        guard !figures.isEmpty else { return nil }
        var data = "", parts: [String] = []
        for (index, name) in contenders(figures).enumerated() {
            data += "$d\(index) << end\n"
            for figure in figures where figure.contender == name { data += "\(figure.setting) \(value(figure))\n" }
            data += "end\n"
            parts.append("$d\(index) using 1:2 with linespoints title \"\(name)\" lt \(index + 1)")
        }
        return data + """
            set logscale xy; set format xy "10^{%T}"; set xlabel "\(x)"; set ylabel "\(y)"
            plot \(parts.joined(separator: ", "))

            """
    }
}
