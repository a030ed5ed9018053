#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "shared.h"

static PyObject *my_function(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    return PyLong_FromLong(shared_value());
}

static PyMethodDef methods[] = {
    {"my_function", my_function, METH_NOARGS, "The value that shared.c was compiled with."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "mod1", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_mod1(void)
{
    return PyModule_Create(&module);
}
