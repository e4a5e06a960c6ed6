#include "border/refusals.hpp"

#include <string_view>

#include "border/errors.hpp"

namespace troupe::python {
namespace {

using Record = py::detail::function_record;

/// What pybind11 calls all its functions through; set when the module is loaded.
PyCFunctionWithKeywords dispatch = nullptr;

/// The record behind a function of pybind11's; null: it is none.
Record* record_of(PyObject* function) {
  if (PyCFunction_Check(function) == 0) return nullptr;
  auto* const self = PyCFunction_GET_SELF(function);
  if (self == nullptr || PyCapsule_CheckExact(self) == 0) return nullptr;
  return static_cast<Record*>(PyCapsule_GetPointer(self, PyCapsule_GetName(self)));
}

/// Whether pybind11 has found no way to make the call, rather than that what was called raised.
bool was_refused() {
  if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) return false;
  py::error_already_set raised;
  const auto text = utf8_of(py::str(raised.value()));
  raised.restore();
  return text.find("(): incompatible ") != std::string::npos &&
         text.find("Invoked with: ") != std::string::npos;
}

void explain(const Record& record, PyObject* args, PyObject* options) {
  PyErr_Clear();
  try {
    const auto told = py::module_::import("troupe._mistakes")
                          .attr("explain")(py::getattr(record.scope, "__name__", py::str()), record.name,
                                           record.is_method, record.signature, py::handle(args),
                                           options != nullptr ? py::handle(options) : py::handle(Py_None));
    const auto [message, hint] = told.cast<std::pair<std::string, std::string>>();
    // Whoever calls a method that Python gives a meaning expects what Python calls it.
    const std::string_view name = record.name;
    if (name.starts_with("__") && name != "__init__") throw py::type_error(message);
    throw bad_argument(message, hint);
  } catch (...) {
    set_exception();
  }
}

PyObject* call(PyObject* self, PyObject* args, PyObject* options) {
  auto* const result = dispatch(self, args, options);
  if (result == nullptr && was_refused())
    explain(*static_cast<const Record*>(PyCapsule_GetPointer(self, PyCapsule_GetName(self))), args, options);
  return result;
}

void watch(py::handle function) {
  auto* plain = function.ptr();
  if (plain == nullptr) return;
  if (PyInstanceMethod_Check(plain) != 0) plain = PyInstanceMethod_GET_FUNCTION(plain);
  auto* const record = record_of(plain);
  if (record == nullptr || record->def == nullptr) return;
  const auto as_it_is =
      reinterpret_cast<PyCFunctionWithKeywords>(reinterpret_cast<void (*)()>(record->def->ml_meth));
  if (as_it_is == &call) return;
  dispatch = as_it_is;
  record->def->ml_meth = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call));
}

void watch_class(const py::object& of) {
  const py::dict members(of.attr("__dict__"));
  // That of a class without one is pybind11's own.
  if (Py_TYPE(of.attr("__init__").ptr()) == &PyWrapperDescr_Type) {
    const auto name = of.attr("__name__");
    of.attr("__init__") = py::cpp_function(
        [name](const py::object&, const py::args&, const py::kwargs&) {
          const auto told = py::module_::import("troupe._mistakes").attr("not_made")(name);
          const auto [message, hint] = told.cast<std::pair<std::string, std::string>>();
          throw bad_argument(message, hint);
        },
        py::is_method(of), py::name("not_made"),
        "Not made by calling its class; to try it says what makes one.");
  }
  for (const auto& [name, member] : members) {
    if (py::isinstance(member, py::handle(reinterpret_cast<PyObject*>(&PyProperty_Type)))) {
      watch(member.attr("fget"));
      watch(member.attr("fset"));
    } else {
      watch(member);
    }
  }
}

}  // namespace

void explain_refusals(const py::module_& module) {
  for (const auto& [name, member] : py::dict(module.attr("__dict__"))) {
    if (utf8_of(name).starts_with("_")) continue;
    if (PyType_Check(member.ptr()) != 0) {
      if (py::detail::get_type_info(reinterpret_cast<PyTypeObject*>(member.ptr())) != nullptr)
        watch_class(py::reinterpret_borrow<py::object>(member));
    } else {
      watch(member);
    }
  }
}

}  // namespace troupe::python
