#include <Python.h>

#include <numpy/arrayobject.h>

static PyObject *total(PyObject *self, PyObject *args)
{
    PyObject *given;
    if (!PyArg_ParseTuple(args, "O", &given))
        return NULL;
    PyArrayObject *array = (PyArrayObject *)PyArray_FROM_OTF(given, NPY_DOUBLE, NPY_ARRAY_IN_ARRAY);
    if (!array)
        return NULL;
    double sum = 0;
    const double *data = PyArray_DATA(array);
    for (npy_intp i = 0; i < PyArray_SIZE(array); i++)
        sum += data[i];
    Py_DECREF(array);
    return PyFloat_FromDouble(sum);
}

static PyMethodDef methods[] = {{"total", total, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "with_numpy", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_with_numpy(void)
{
    import_array();
    return PyModule_Create(&module);
}
