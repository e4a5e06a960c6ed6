#include "border/errors.hpp"

#include "border/interrupts.hpp"

#include <new>

#include "troupe/runtime/thrown.hpp"

namespace troupe::python {
namespace {

/// The error inside its exception.
struct NativeError {
  Error error;
};

py::object error_class() { return py::module_::import("troupe._errors").attr("Error"); }

/// Errors speak to who writes C++; where they name what to write, Python has other words.
std::string in_pythons_words(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> words[] = {
      {"use the co_await form", "await it: await task, await node.read(x), await node.drained()"},
      {"co_await", "await"},
      {".host<const T>()", ".numpy(writable=False)"},
      {".overwrite<T>()", ".numpy(overwrite=True)"},
      {"inside a coroutine", "inside an async def program"},
      {"--cert, --key and --ca",
       "remote=[{\"address\": …, \"certificate\": …, \"key\": …, \"authority\": …}]"}};
  for (const auto& [theirs, ours] : words) {
    for (auto at = text.find(theirs); at != std::string::npos; at = text.find(theirs, at + ours.size()))
      text.replace(at, theirs.size(), ours);
  }
  return text;
}

py::object exception_of_one(const Error& error, py::object native) {
  return error_class()(std::string(error.code().name), text_from(in_pythons_words(error.message())),
                       text_from(in_pythons_words(error.hint())), text_from(error.path()), error.code().value,
                       std::move(native));
}

void put_cause(const py::object& exception, const py::object& cause) {
  PyException_SetCause(exception.ptr(), cause.inc_ref().ptr());
}

}  // namespace

py::object exception_of(const Error& error) {
  auto first = exception_of_one(error, py::cast(NativeError{error}));
  auto last = first;
  for (const auto* cause = error.cause(); cause != nullptr; cause = cause->cause()) {
    auto next = exception_of_one(*cause, py::none());
    put_cause(last, next);
    last = next;
  }
  return first;
}

void raise(const Error& error, const py::object& cause) {
  const auto exception = exception_of(error);
  if (cause) {
    auto last = exception;
    for (;;) {
      const py::object next = last.attr("__cause__");
      if (next.is_none()) break;
      last = next;
    }
    put_cause(last, cause);
  }
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw py::error_already_set();
}

Error error_from(py::error_already_set& raised, const std::string& who) {
  try {
    if (raised.matches(error_class())) {
      const py::object native = raised.value().attr("_native");
      if (!native.is_none()) return native.cast<const NativeError&>().error;
    }
    if (raised.matches(PyExc_KeyboardInterrupt)) {
      interrupt_again();
      return Error(actors::Errc::cancelled, who + " was interrupted (KeyboardInterrupt)");
    }
    const auto traceback = py::module_::import("traceback");
    const auto join = [](const py::object& lines) { return utf8_of(py::str("").attr("join")(lines)); };
    auto what = join(traceback.attr("format_exception_only")(raised.type(), raised.value()));
    auto where = join(traceback.attr("format_exception")(raised.type(), raised.value(),
                                                         raised.trace() ? raised.trace() : py::none()));
    while (!what.empty() && what.back() == '\n') what.pop_back();
    while (!where.empty() && where.back() == '\n') where.pop_back();
    std::string hint;
    if (what.find("no running event loop") != std::string::npos)
      hint = "a program awaits what troupe makes; asyncio waits for a run with await node.submit(…)";
    return Error(actors::Errc::function_failed, who + ": " + what + "\n" + where, std::move(hint));
  } catch (py::error_already_set& second) {
    second.discard_as_unraisable("an exception that cannot be shown");
    return Error(actors::Errc::function_failed, who + " raised an exception that cannot be shown");
  }
}

Error bad_argument(std::string message, std::string hint) {
  return Error(actors::Errc::bad_argument, std::move(message), std::move(hint));
}

py::str text_from(std::string_view text) {
  auto made = py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
  if (!made) throw py::error_already_set();
  return made;
}

std::string utf8_of(py::handle text) {
  Py_ssize_t bytes = 0;
  if (const char* utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &bytes))
    return {utf8, static_cast<std::size_t>(bytes)};
  PyErr_Clear();
  const auto made =
      py::reinterpret_steal<py::bytes>(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "backslashreplace"));
  if (!made) throw py::error_already_set();
  return std::string(made);
}

std::string shown(py::handle value) {
  constexpr std::size_t most = 80;
  const auto represented = py::reinterpret_steal<py::object>(PyObject_Repr(value.ptr()));
  if (!represented) {  // its class is a user's
    PyErr_Clear();
    return std::string("a ") + Py_TYPE(value.ptr())->tp_name;
  }
  const auto text = utf8_of(represented);
  if (text.size() <= most) return text;
  // Not within a character.
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "…";
}

py::object whole_number(py::handle value, const std::string& what, std::string hint) {
  auto index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (index) return index;
  if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
  PyErr_Clear();
  throw bad_argument(what + " is a whole number, and " + shown(value) + " is none", std::move(hint));
}

std::string string_of(py::handle value, const std::string& what, std::string hint) {
  if (PyUnicode_Check(value.ptr()) == 0)
    throw bad_argument(what + " is a string, and " + shown(value) + " is none", std::move(hint));
  Py_ssize_t bytes = 0;
  const char* text = PyUnicode_AsUTF8AndSize(value.ptr(), &bytes);
  if (text == nullptr) {
    PyErr_Clear();
    throw bad_argument(what + " is " + shown(value) + ", which has characters that are none");
  }
  return {text, static_cast<std::size_t>(bytes)};
}

std::string path_of(py::handle value, const std::string& what) {
  PyObject* bytes = nullptr;
  if (PyUnicode_FSConverter(value.ptr(), &bytes) != 0) {
    const auto kept = py::reinterpret_steal<py::bytes>(bytes);
    return std::string(kept);
  }
  // Not what it raises: a string that no path can be, or something else.
  PyErr_Clear();
  throw bad_argument(what + " is the path of a file, and " + shown(value) + " is none",
                     "a string, or a pathlib.Path");
}

std::vector<py::object> items_of(py::handle value, const std::string& what, const std::string& kind,
                                 std::string hint) {
  const auto refused = [&] {
    return bad_argument(what + " is " + kind + ", and " + shown(value) + " is none", std::move(hint));
  };
  if (PyUnicode_Check(value.ptr()) != 0 || PyBytes_Check(value.ptr()) != 0) throw refused();
  const auto all = py::reinterpret_steal<py::object>(PyObject_GetIter(value.ptr()));
  if (!all) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw refused();
  }
  std::vector<py::object> items;
  while (auto* item = PyIter_Next(all.ptr())) items.push_back(py::reinterpret_steal<py::object>(item));
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
  return items;
}

void set_exception() noexcept {
  try {
    try {
      throw;
    } catch (const Error& error) {
      raise(error);
    }
  } catch (py::error_already_set& raised) {
    raised.restore();
  } catch (const py::builtin_exception& builtin) {
    builtin.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& other) {
    PyErr_SetString(PyExc_RuntimeError, other.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "an unknown exception");
  }
}

void add_errors(py::module_& module) {
  py::class_<NativeError>(module, "_NativeError");
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const Error& error) {
      try {
        raise(error);
      } catch (py::error_already_set& raised) {
        raised.restore();
      }
    } catch (const std::bad_alloc& error) {
      PyErr_SetString(PyExc_MemoryError, runtime::text_of(error).c_str());
    }
  });
}

}  // namespace troupe::python
