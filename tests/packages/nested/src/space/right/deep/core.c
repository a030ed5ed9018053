#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core.h"

static PyObject *value(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    return Py_BuildValue("ii", VALUE, core_value());
}

static PyMethodDef methods[] = {
    {"value", value, METH_NOARGS, "(VALUE of this file, VALUE of the shared object)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModule_Create(&module);
}
