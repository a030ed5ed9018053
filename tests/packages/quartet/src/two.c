#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "alpha.h"
#include "common.h"

/* The constants as this file sees them and as the shared objects were compiled: a stale object shows. */
static PyObject *values(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    return Py_BuildValue("iiii", ALPHA, alpha_value(), beta_value(), gamma_value());
}

static PyMethodDef methods[] = {
    {"values", values, METH_NOARGS, "(own constants, alpha, beta, gamma)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "two", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_two(void)
{
    return PyModule_Create(&module);
}
