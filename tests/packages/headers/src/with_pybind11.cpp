#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <numeric>
#include <vector>

namespace py = pybind11;

struct Sum {
    double value = 0;
    void add(const std::vector<double> &numbers) { value = std::accumulate(numbers.begin(), numbers.end(), value); }
};

PYBIND11_MODULE(with_pybind11, m)
{
    py::class_<Sum>(m, "Sum").def(py::init<>()).def("add", &Sum::add, py::arg("numbers")).def_readonly("value", &Sum::value);
    m.def("total", [](const std::vector<double> &numbers) { Sum sum; sum.add(numbers); return sum.value; });
}
