/* The static file's own part in C: two ways to start CPython, and the tables for both. */

#ifndef PROVIDER_H
#define PROVIDER_H

#include <Python.h>

#include <stdint.h>

/* What the core interpreter runs: one marshalled object, see freeze.py. */
extern const unsigned char frozen_core[], frozen_core_end[];

/* A module of the whole interpreter: where its name and its code are. Offsets, not pointers: a
   position-independent file has to relocate every pointer at every start. */
struct frozen {
    uint32_t name, code, size;
    uint8_t is_package;
};
extern const struct frozen frozen_whole[];
extern const size_t frozen_whole_count;
extern const char frozen_names[];
extern const unsigned char frozen_code[];

/* Run the plugin (core: no importlib, no standard library) or the operator's tool (whole). Both
   return an exit code only where Python did not end the process itself. */
int run_core(char **argv);
int run_whole(int argc, char **argv);

/* Let CPython and OpenSSL allocate from alloc.c. To be called before either does. */
void use_own_memory(void);

/* ERR_reason_error_string, for which `_ssl` is compiled to call this one: OpenSSL's table of 2,300
   texts is filled when an error is to be told, not at every start. */
const char *reason_of_error(unsigned long code);

/* Say in the plugin's own form that the interpreter failed. Returns the exit code. */
int failed(const char *what);

#endif
