/* The C modules that are linked in, in place of CPython's generated Modules/config.c. */

#include <Python.h>

#define EACH_MODULE(M)                                                                            \
    M(_abc) M(_bisect) M(_blake2) M(_codecs) M(_collections) M(_contextvars) M(_datetime)          \
    M(_functools) M(_heapq) M(_io) M(_json) M(_locale) M(_md5) M(_opcode) M(_operator)             \
    M(_posixsubprocess) M(_random) M(_sha1) M(_sha2) M(_sha3) M(_signal) M(_socket) M(_sre)        \
    M(_ssl) M(_stat) M(_string) M(_struct) M(_suggestions) M(_sysconfig) M(_thread) M(_tokenize)   \
    M(_typing) M(_weakref) M(array) M(atexit) M(binascii) M(errno) M(faulthandler) M(fcntl)        \
    M(gc) M(itertools) M(math) M(posix) M(pwd) M(resource) M(select) M(termios) M(time)

#define DECLARE(name) extern PyObject *PyInit_##name(void);
EACH_MODULE(DECLARE)
extern PyObject *PyMarshal_Init(void);
extern PyObject *PyInit__imp(void);
extern PyObject *PyInit__ast(void);
extern PyObject *_PyWarnings_Init(void);

#define ROW(name) {#name, PyInit_##name},
struct _inittab _PyImport_Inittab[] = {
    EACH_MODULE(ROW)
    {"_ast", PyInit__ast},
    {"_imp", PyInit__imp},
    {"_warnings", _PyWarnings_Init},
    {"marshal", PyMarshal_Init},
    /* Made by the interpreter's own start. */
    {"builtins", NULL},
    {"sys", NULL},
    {NULL, NULL},
};
