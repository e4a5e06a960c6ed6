#pragma once

// The arguments and options of a submit, as Python gives them. Inside Python only.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/uses.hpp"
#include "program.hpp"

namespace troupe::python {

/// A member of a group: `args(in_(x), scalar(2))`, perhaps bound to a chip.
struct Member {
  py::tuple items;
  int home = -1;
};

/// Adds the arguments among `items`; throws for anything else.
void add_arguments(actors::Args& args, const py::tuple& items);
void add_arguments(actors::Args& args, std::span<PyObject* const> items);
actors::Args args_of(const Member& member);

/// A Slot as an argument of a task.
using SlotUse = actors::detail::SlotScalar;
/// A number that a plan takes anew with each replay; its number while a program is recorded.
struct SlotOf {
  runtime::ScalarArg value;
  std::int32_t number = -1;
};

/// Takes the options that a submit was given by name: on_chip, name, after, priority, deadline, retry,
/// idempotent, blocks, config.
void take_option(actors::detail::SubmitCall& call, const std::string& option, py::handle value);
void take_options(actors::detail::SubmitCall& call, const py::kwargs& options);

/// A whole number that a T holds; an error that names `what` for anything else.
template <class T>
T integer_of(py::handle value, const std::string& what) {
  const auto index = whole_number(value, what, "write " + what + "=4, without quotes and without a point");
  int overflow = 0;
  const auto number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0 || !std::in_range<T>(number))
    throw bad_argument(what + " is " + shown(index) + ", which is out of range");
  return static_cast<T>(number);
}
/// True or False; words are refused: "no" would be true.
bool truth_of(py::handle value, const std::string& what);

std::chrono::nanoseconds duration_of(py::handle seconds, const char* what);

/// What a submit names: a callable's name, a function for a sub-worker, a program for the level below.
struct Named {
  std::string name;           ///< empty: `own`
  actors::CallableRef own{};  ///< one that comes with the submit
};
Named function_of(const py::object& callable);
Named callable_of(const py::object& callable, std::span<PyObject* const> items, std::int64_t soft_limit);

/// A function of Python's as something that sub-workers call.
/// Each call is in a copy of the context, where there is one. Throws `bad_argument` for what cannot be one.
actors::HostFunction host_function(py::object function, py::object context = {});

void add_arguments(py::module_& module);

}  // namespace troupe::python
