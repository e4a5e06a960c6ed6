#include "data/uses.hpp"

#include <new>
#include <utility>

namespace troupe::python {
namespace {

using actors::TensorUse;
using runtime::Tag;

struct UseObject {
  PyObject head;
  TensorUse use;
};

/// The classes of tensors and of their arguments, set when the module is loaded, of which there is one.
struct Classes {
  PyTypeObject* tensor = nullptr;
  PyTypeObject* use = nullptr;
} classes;

PyObject* as_object(UseObject* use) { return reinterpret_cast<PyObject*>(use); }
const TensorUse& use_in(PyObject* object) { return reinterpret_cast<UseObject*>(object)->use; }

void destroy(PyObject* object) {
  auto* const type = Py_TYPE(object);
  reinterpret_cast<UseObject*>(object)->use.~TensorUse();
  type->tp_free(object);
  Py_DECREF(reinterpret_cast<PyObject*>(type));
}

PyObject* represent(PyObject* object) {
  return guarded([&]() -> py::object {
    const auto& arg = use_in(object).arg;
    return py::str("<troupe." + std::string(name_of(arg.tag)) + " " + to_string(arg.tensor) + ">");
  });
}

PyTypeObject* make_class() {
  const newfunc refuse = [](PyTypeObject*, PyObject*, PyObject*) -> PyObject* {
    return guarded([]() -> py::object {
      throw bad_argument("a TensorArgument is not made by calling its class",
                         "in_(x), out(x), inout(x), out_existing(x) and no_dep(x) make them");
    });
  };
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(refuse)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&destroy)},
      {Py_tp_repr, reinterpret_cast<void*>(&represent)},
      {Py_tp_doc, const_cast<char*>("A tensor, and what a task does with it: in_(x), out(x), "
                                    "inout(x), out_existing(x) or no_dep(x).")},
      {0, nullptr}};
  PyType_Spec spec{"troupe._core.TensorArgument", sizeof(UseObject), 0, Py_TPFLAGS_DEFAULT, slots};
  auto* const made = PyType_FromSpec(&spec);
  if (made == nullptr) throw py::error_already_set();
  return reinterpret_cast<PyTypeObject*>(made);
}

template <Tag tag>
PyObject* tagged(PyObject*, PyObject* const* given, Py_ssize_t count, PyObject* names) {
  return guarded([&] {
    if (count != 1 || names != nullptr) {
      const auto name = tag == Tag::in ? std::string("in_") : std::string(name_of(tag));
      throw bad_argument(name + " takes one tensor or array, and was given " +
                             (names != nullptr ? "options" : std::to_string(count)),
                         "a tag for each: in_(x), in_(y), out(z)");
    }
    auto* const tensor = given[0];
    if (const auto* known = tensor_in(tensor)) return object_of({{known->description(), tag}, known->hold()});
    if constexpr (tag == Tag::no_dep) {
      if (py::isinstance<actors::DomainContext>(tensor))
        return py::cast(actors::no_dep(py::handle(tensor).cast<const actors::DomainContext&>()));
    }
    const auto made = tensor_of(tensor, tag != Tag::in);
    return object_of({{made.description(), tag}, made.hold()});
  });
}

}  // namespace

const TensorUse* tensor_use(py::handle object) noexcept {
  return Py_TYPE(object.ptr()) == classes.use ? &use_in(object.ptr()) : nullptr;
}

py::object object_of(TensorUse use) {
  auto* const made = PyObject_New(UseObject, classes.use);
  if (made == nullptr) throw py::error_already_set();
  new (&made->use) TensorUse(std::move(use));
  return py::reinterpret_steal<py::object>(as_object(made));
}

bool is_tensor(py::handle object) noexcept { return PyObject_TypeCheck(object.ptr(), classes.tensor) != 0; }

const actors::Tensor* tensor_in(py::handle object) noexcept {
  if (Py_TYPE(object.ptr()) != classes.tensor) return nullptr;
  // As pybind11 keeps what it has one pointer to.
  const auto* instance = reinterpret_cast<const py::detail::instance*>(object.ptr());
  return instance->simple_layout ? static_cast<const actors::Tensor*>(instance->simple_value_holder[0])
                                 : nullptr;
}

void add_uses(py::module_& module) {
  classes.tensor = reinterpret_cast<PyTypeObject*>(module.attr("Tensor").ptr());
  classes.use = make_class();
  module.add_object("TensorArgument", py::handle(reinterpret_cast<PyObject*>(classes.use)));
  const auto fast = [](auto function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
  };
  static PyMethodDef functions[] = {
      {"in_", fast(&tagged<Tag::in>), METH_FASTCALL | METH_KEYWORDS,
       "in_(tensor, /)\n--\n\nThe task reads the tensor (or array)."},
      {"out", fast(&tagged<Tag::out>), METH_FASTCALL | METH_KEYWORDS,
       "out(tensor, /)\n--\n\nThe task writes every element of the tensor (or array)."},
      {"inout", fast(&tagged<Tag::inout>), METH_FASTCALL | METH_KEYWORDS,
       "inout(tensor, /)\n--\n\nThe task reads and writes the tensor (or array), or writes a part of it."},
      {"out_existing", fast(&tagged<Tag::out_existing>), METH_FASTCALL | METH_KEYWORDS,
       "out_existing(tensor, /)\n--\n\nThe task writes every element, in memory that exists already."},
      {"no_dep", fast(&tagged<Tag::no_dep>), METH_FASTCALL | METH_KEYWORDS,
       "no_dep(tensor, /)\n--\n\nThe task touches the tensor without any order among tasks."},
      {nullptr, nullptr, 0, nullptr}};
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw py::error_already_set();
}

}  // namespace troupe::python
