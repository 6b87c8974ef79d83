/* The core interpreter: CPython in the mode in which it freezes importlib at its own build.

   It has builtins, sys and the types, but no importlib, codecs registry, streams or site: starting
   these would cost as much again as the whole exchange. What the plugin cannot do without is put in
   here: `__import__` (frozen_import.py), and the registry of error handlers, without which a byte
   that is not UTF-8 would be a crash instead of a UnicodeDecodeError. */

#include "provider.h"

#include <marshal.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#include "pycore_codecs.h"
#include "pycore_interp.h"
#include "pycore_long.h"

/* What the plugin may import; nothing else gets into its process. */
static const char *const CORE_MODULES[] = {
    "_json", "_socket", "_ssl", "_thread", "binascii", "posix", "resource", "time",
};

static int register_module(PyObject *name, PyObject *module)
{
    return PyDict_SetItem(PyImport_GetModuleDict(), name, module);
}

/* A new C module of multi-phase initialisation (PEP 489); registered before its code runs. */
static PyObject *execute(PyObject *name, PyModuleDef *def)
{
    PyObject *spec = PyModule_NewObject(name); /* anything that has a name */
    if (spec == NULL)
        return NULL;
    PyObject *module = NULL;
    if (PyObject_SetAttrString(spec, "name", name) == 0)
        module = PyModule_FromDefAndSpec(def, spec);
    Py_DECREF(spec);
    if (module == NULL)
        return NULL;
    if (register_module(name, module) < 0 || PyModule_ExecDef(module, def) < 0)
        Py_CLEAR(module);
    return module;
}

static PyObject *create(PyObject *name, PyObject *(*init)(void))
{
    PyObject *made = init();
    if (made == NULL)
        return NULL;
    if (PyObject_TypeCheck(made, &PyModuleDef_Type))
        return execute(name, (PyModuleDef *)made); /* a definition is static: not ours to free */
    if (register_module(name, made) < 0)
        Py_CLEAR(made);
    return made;
}

/* builtin(name): a C module, or None where the plugin may not have one of that name. */
static PyObject *builtin(PyObject *Py_UNUSED(self), PyObject *name)
{
    const char *wanted = PyUnicode_AsUTF8(name);
    if (wanted == NULL)
        return NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(CORE_MODULES); i++) {
        if (strcmp(wanted, CORE_MODULES[i]) != 0)
            continue;
        for (const struct _inittab *row = PyImport_Inittab; row->name != NULL; row++)
            if (strcmp(wanted, row->name) == 0)
                return create(name, row->initfunc);
    }
    Py_RETURN_NONE;
}

/* read(offset, size): the code of a module that only some runs need. */
static PyObject *read_code(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    Py_ssize_t offset, size;
    if (!PyArg_ParseTuple(arguments, "nn", &offset, &size))
        return NULL;
    return PyMarshal_ReadObjectFromString((const char *)frozen_code + offset, size);
}

static PyMethodDef BUILTIN = {"builtin", builtin, METH_O, NULL};
static PyMethodDef READ = {"read", read_code, METH_VARARGS, NULL};

/* The namespace of frozen_import.py after it has run; *modules becomes the frozen modules. */
static PyObject *run_importer(PyObject **modules)
{
    PyObject *pair = PyMarshal_ReadObjectFromString((const char *)frozen_core,
                                                    frozen_core_end - frozen_core);
    PyObject *namespace = PyDict_New(), *code;
    if (pair == NULL || namespace == NULL || !PyArg_ParseTuple(pair, "OO", &code, modules)
        /* C code that imports looks for builtins in the globals of whoever runs. */
        || PyDict_SetItemString(namespace, "__builtins__", PyEval_GetBuiltins()) < 0) {
        Py_CLEAR(namespace);
    } else {
        Py_INCREF(*modules);
        PyObject *none = PyEval_EvalCode(code, namespace, namespace);
        if (none == NULL)
            Py_CLEAR(namespace);
        Py_XDECREF(none);
    }
    Py_XDECREF(pair);
    return namespace;
}

/* builtins.__import__ = importer(sys.modules, builtin, modules, read, type(sys)) */
static int install_import(void)
{
    PyObject *modules = NULL, *import = NULL;
    PyObject *namespace = run_importer(&modules);
    PyObject *importer = namespace == NULL ? NULL : PyDict_GetItemString(namespace, "importer");
    if (importer != NULL)
        import = PyObject_CallFunction(importer, "ONONO", PyImport_GetModuleDict(),
                                       PyCFunction_New(&BUILTIN, NULL), modules,
                                       PyCFunction_New(&READ, NULL), &PyModule_Type);
    int result = -1;
    if (import != NULL)
        result = PyDict_SetItemString(PyEval_GetBuiltins(), "__import__", import);
    Py_XDECREF(import);
    Py_XDECREF(modules);
    Py_XDECREF(namespace);
    return result;
}

/* sys.argv = [argv[0]] */
static int set_argv(char **argv)
{
    PyObject *name = PyUnicode_DecodeFSDefault(argv[0] == NULL ? "" : argv[0]);
    PyObject *list = name == NULL ? NULL : Py_BuildValue("[N]", name);
    int result = list == NULL ? -1 : PySys_SetObject("argv", list);
    Py_XDECREF(list);
    return result;
}

/* What the whole interpreter does later in its start, and this one would be open to attack without:
   the limit on digits (converting them takes time by their square), and the registry of error
   handlers. The registry's last step is to import "encodings". An empty module will do: UTF-8,
   Latin-1 and ASCII are in C, and any other name is a LookupError. */
static PyStatus complete(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    interpreter->long_state.max_str_digits = _PY_LONG_DEFAULT_MAX_STR_DIGITS;
    if (PyImport_AddModuleRef("encodings") == NULL)
        return PyStatus_NoMemory();
    return _PyCodec_InitRegistry(interpreter);
}

static PyStatus start(void)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before); /* no environment variable of Python's is read */
    before.utf8_mode = 1;
    before.configure_locale = 0;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config._install_importlib = 0;
    config.site_import = 0;
    config.install_signal_handlers = 0;
    config.parse_argv = 0;
    config.code_debug_ranges = 0;
    config.optimization_level = 2;
    /* Otherwise asked of the C library's locale, which was not set. */
    const struct { wchar_t **field; const wchar_t *value; } TEXTS[] = {
        {&config.program_name, L"gcp-sa-credential-provider"},
        {&config.stdio_encoding, L"utf-8"},
        {&config.stdio_errors, L"strict"},
        {&config.filesystem_encoding, L"utf-8"},
        {&config.filesystem_errors, L"surrogateescape"},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(TEXTS) && !PyStatus_Exception(status); i++)
        status = PyConfig_SetString(&config, TEXTS[i].field, TEXTS[i].value);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

/* OpenSSL's own; its start calls them unless it is told not to. */
extern int ossl_err_load_crypto_strings(void), ossl_err_load_SSL_strings(void);

const char *reason_of_error(unsigned long code)
{
    static bool loaded; /* under the interpreter's lock */
    if (!loaded)
        loaded = ossl_err_load_crypto_strings() && ossl_err_load_SSL_strings();
    return ERR_reason_error_string(code);
}

int run_core(char **argv)
{
    use_own_memory();
    /* No openssl.cnf of the node has a say, and the process leaves without tear-down. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ADD_ALL_CIPHERS
                     | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_LOAD_SSL_STRINGS
                     | OPENSSL_INIT_NO_ATEXIT, NULL);
    PyStatus status = start();
    if (!PyStatus_Exception(status))
        status = complete();
    if (PyStatus_Exception(status))
        return failed(status.err_msg == NULL ? "exit" : status.err_msg);
    PyGC_Disable(); /* a run makes less garbage than a collection costs */
    if (set_argv(argv) == 0 && install_import() == 0) {
        PyObject *door = PyImport_ImportModule("gcp_sa_credential_provider.__main__");
        if (door != NULL)
            PyObject_CallMethod(door, "main", NULL);
    }
    /* Only an exception leads here: main() ends the process. Its text may quote a token. */
    PyObject *error = PyErr_GetRaisedException();
    return failed(error == NULL ? "return" : Py_TYPE(error)->tp_name);
}
