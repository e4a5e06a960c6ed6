#pragma once

// Calls that do not fit what is called. pybind11 refuses them with a list of C++ types; here they become an
// error that names the argument, says what it is to be, and shows what was given (troupe/_mistakes.py finds
// the words).

#include "border/interpreter.hpp"

namespace troupe::python {

/// For every function, class and property of the module, once all are there. Classes that nobody makes by
/// calling them say how one gets theirs.
void explain_refusals(const py::module_& module);

}  // namespace troupe::python
