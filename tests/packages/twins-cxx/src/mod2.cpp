#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "shared.hpp"

static PyObject *my_function(PyObject *, PyObject *)
{
    return PyLong_FromLong(shared::keeper().value());
}

static PyMethodDef methods[] = {
    {"my_function", my_function, METH_NOARGS, "The value that shared.cpp was compiled with."},
    {nullptr, nullptr, 0, nullptr},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "mod2", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit_mod2(void)
{
    return PyModule_Create(&module);
}
