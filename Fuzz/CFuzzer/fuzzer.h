#pragma once
#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer's driver, for a program that has a main of its own (compiler-rt/lib/fuzzer/FuzzerInterface.h). */
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));

/* One thread, no count of memory, which nothing here needs. Before its first use; a function with `...` is out of Swift's
   reach. */
static inline int recall_single_threaded_sqlite(void) {
    return sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) | sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}
