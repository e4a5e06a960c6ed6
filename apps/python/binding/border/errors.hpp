#pragma once

// Errors across the border, both ways. Inside Python only.

#include <string>
#include <string_view>
#include <vector>

#include "border/interpreter.hpp"
#include "troupe/troupe.hpp"

namespace troupe::python {

/// The exception of an error, its causes behind `__cause__`.
py::object exception_of(const Error& error);
/// Raises it; `cause`, an exception of Python's, goes behind the last of its causes.
[[noreturn]] void raise(const Error& error, const py::object& cause = {});

/// What Python raised, as the error of the program or function `who`: the traceback is in its message. An
/// error of troupe's that went through Python is the one that it was.
Error error_from(py::error_already_set& raised, const std::string& who);

/// Inside a `catch`: what was thrown becomes Python's exception.
void set_exception() noexcept;

/// A value that cannot be used.
Error bad_argument(std::string message, std::string hint = {});
/// The int that it is; an error that names `what` and shows the value when it is none.
py::object whole_number(py::handle value, const std::string& what, std::string hint = {});
/// The string, or the path of the file, that it is; an error that names `what` where it is none.
std::string string_of(py::handle value, const std::string& what, std::string hint = {});
std::string path_of(py::handle value, const std::string& what);
/// Its items; an error that names `what`, which is to be `kind`, where it has none. A string has none.
std::vector<py::object> items_of(py::handle value, const std::string& what, const std::string& kind,
                                 std::string hint = {});
/// What somebody gave, as Python writes it, for sentences: cut where it is long.
std::string shown(py::handle value);
/// Text across the border, both ways: what is none on the other side is written as its number.
py::str text_from(std::string_view text);
std::string utf8_of(py::handle text);

void add_errors(py::module_& module);

}  // namespace troupe::python
