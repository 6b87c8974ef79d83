/* The whole interpreter: isolated, with the standard library frozen in. It reads no file and no
   variable of Python's. */

#include "provider.h"

static PyStatus start(int argc, char **argv)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.parse_argv = 0;
    config.install_signal_handlers = 1; /* for KeyboardInterrupt */
    config.code_debug_ranges = 0;
    config.optimization_level = 2;
    config.write_bytecode = 0;
    config.module_search_paths_set = 1; /* to none */
    /* All that would otherwise be looked for around the executable. */
    const struct { wchar_t **field; const wchar_t *value; } TEXTS[] = {
        {&config.program_name, L"gcp-sa-credential-provider"},
        {&config.executable, L""},
        {&config.base_executable, L""},
        {&config.prefix, L""},
        {&config.base_prefix, L""},
        {&config.exec_prefix, L""},
        {&config.base_exec_prefix, L""},
        {&config.stdlib_dir, L""},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(TEXTS) && !PyStatus_Exception(status); i++)
        status = PyConfig_SetString(&config, TEXTS[i].field, TEXTS[i].value);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

/* The table in the form that CPython's own importer of frozen modules reads. */
static const struct _frozen *table(void)
{
    struct _frozen *rows = calloc(frozen_whole_count + 1, sizeof *rows);
    for (size_t i = 0; rows != NULL && i < frozen_whole_count; i++) {
        const struct frozen *module = &frozen_whole[i];
        rows[i].name = frozen_names + module->name;
        rows[i].code = frozen_code + module->code;
        rows[i].size = (int)module->size;
        rows[i].is_package = module->is_package;
    }
    return rows;
}

int run_whole(int argc, char **argv)
{
    PyImport_FrozenModules = table();
    if (PyImport_FrozenModules == NULL)
        return failed("lack of memory");
    PyStatus status = start(argc, argv);
    if (PyStatus_Exception(status))
        return failed(status.err_msg == NULL ? "exit" : status.err_msg);
    PyObject *entry = PyImport_ImportModule("entry");
    if (entry != NULL)
        PyObject_CallMethod(entry, "main", NULL);
    PyErr_Print(); /* SystemExit ends the process here, with its code */
    return 1;
}
