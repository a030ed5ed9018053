#define PY_SSIZE_T_CLEAN
#include <Python.h>

int part1(void);
int part2(void);
int part3(void);
int part4(void);

static PyObject *total(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    return PyLong_FromLong(part1() + part2() + part3() + part4());
}

static PyMethodDef methods[] = {
    {"total", total, METH_NOARGS, "The sum of the four parts."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "second", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_second(void)
{
    return PyModule_Create(&module);
}
