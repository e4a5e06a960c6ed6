#include "data/arrays.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "data/dlpack.hpp"
#include "data/uses.hpp"

namespace troupe::python {
namespace {

/// A buffer that Python lends.
class Lent final : public Leaving {
 public:
  Lent(py::handle object, int flags) {
    if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw refused(object);
    if (view_.suboffsets != nullptr) {
      PyBuffer_Release(&view_);
      throw bad_argument("an array of pointers to arrays is no tensor", "numpy.ascontiguousarray(x) is one");
    }
    fill_in();
  }
  ~Lent() override { PyBuffer_Release(&view_); }
  const Py_buffer& operator*() const { return view_; }
  const Py_buffer* operator->() const { return &view_; }

  /// The addresses that it spans; false: some lie before the first element.
  bool span(std::uintptr_t& begin, std::uintptr_t& end) const {
    begin = reinterpret_cast<std::uintptr_t>(view_.buf);
    if (view_.len == 0) return end = begin, true;
    auto last = begin + static_cast<std::uintptr_t>(view_.itemsize);
    for (int i = 0; i < view_.ndim; ++i) {
      if (strides_[i] < 0) return false;
      last += static_cast<std::uintptr_t>(strides_[i] * (shape_[i] - 1));
    }
    return end = last, true;
  }

  const Py_ssize_t* shape() const { return shape_; }
  const Py_ssize_t* strides() const { return strides_; }

 private:
  /// Arrays of ctypes have no strides, whoever asks for them.
  void fill_in() {
    shape_ = view_.shape;
    if (shape_ == nullptr && view_.ndim == 1) {
      extents_[0] = view_.itemsize > 0 ? view_.len / view_.itemsize : 0;
      shape_ = extents_;
    }
    strides_ = view_.strides;
    if (strides_ != nullptr) return;
    auto stride = view_.itemsize;
    for (int i = view_.ndim; i-- > 0;) {
      dense_[i] = stride;
      stride *= shape_[i];
    }
    strides_ = dense_;
  }
  static Error refused(py::handle object) {
    py::error_already_set raised;
    if (!raised.matches(PyExc_ValueError) && !raised.matches(PyExc_BufferError) &&
        !raised.matches(PyExc_TypeError))
      throw raised;
    return bad_argument("a " + std::string(Py_TYPE(object.ptr())->tp_name) +
                            " does not lend its memory: " + utf8_of(py::str(raised.value())),
                        "numpy.ascontiguousarray(x), of elements that tensors have, does");
  }

  Py_buffer view_{};
  const Py_ssize_t *shape_ = nullptr, *strides_ = nullptr;
  Py_ssize_t extents_[1] = {}, dense_[PyBUF_MAX_NDIM] = {};
};
using LentRef = std::shared_ptr<Lent>;

LentRef lend(py::handle object, int flags) {
  return {new Lent(object, flags), [](Lent* lent) { leave(lent); }};
}

/// Keeps an array while a run uses it.
class ArrayHold final : public actors::BufferHold {
 public:
  explicit ArrayHold(LentRef lent) : lent_(std::move(lent)) {}

 private:
  LentRef lent_;
};

/// Names that are asked for with every array.
struct Links {
  py::str base{"base"}, obj{"obj"};
};
const Links& links() {
  static const auto* const one = new Links;
  return *one;
}

/// What owns the memory that an array looks at: itself, or what it is a view of.
py::object owner_of(py::handle array) {
  auto owner = py::reinterpret_borrow<py::object>(array);
  for (;;) {
    const auto& link = PyMemoryView_Check(owner.ptr()) != 0 ? links().obj : links().base;
    auto next = py::getattr(owner, link, py::none());
    if (next.is_none() || PyObject_CheckBuffer(next.ptr()) == 0) return owner;
    owner = std::move(next);
  }
}

/// Of numpy.ma: its buffer has what is masked, too.
bool is_masked(py::handle object) {
  return std::string_view(Py_TYPE(object.ptr())->tp_name) != "numpy.ndarray" && py::hasattr(object, "mask") &&
         py::hasattr(object, "filled");
}

actors::Tensor tensor_of_buffer(py::handle object, bool writes) {
  if (is_masked(object))
    throw bad_argument("a masked array is no tensor: tasks would not see its mask",
                       "x.filled(0) is one, and x.data, which has what is masked");
  auto lent = lend(object, PyBUF_STRIDES | PyBUF_FORMAT);
  const auto& view = **lent;
  if (writes && view.readonly != 0) {
    throw bad_argument("an array that is read-only, and a task that writes it", "give it a copy: x.copy()");
  }
  const auto dtype = dtype_of_format(view.format, view.itemsize);
  if (view.ndim == 0) {
    throw bad_argument("an array without dimensions is no tensor",
                       "x.reshape(1) has one; a number is scalar(x)");
  }
  std::array<std::uint64_t, PyBUF_MAX_NDIM> extents{}, strides{};
  const auto dims = static_cast<std::size_t>(view.ndim);
  for (std::size_t i = 0; i < dims; ++i) {
    extents[i] = static_cast<std::uint64_t>(lent->shape()[i]);
    const auto stride = lent->strides()[i];
    if (stride < 0 || stride % view.itemsize != 0) {
      throw bad_argument("an array that runs backwards, or over parts of elements, is no tensor",
                         "numpy.ascontiguousarray(x) is one");
    }
    strides[i] = static_cast<std::uint64_t>(stride / view.itemsize);
  }
  std::uintptr_t begin = 0, end = 0;
  (void)lent->span(begin, end);
  auto from = begin, to = end;
  const auto owner = owner_of(object);
  if (owner.ptr() != object.ptr()) {
    auto whole = lend(owner, PyBUF_STRIDES);
    std::uintptr_t first = 0, last = 0;
    if (whole->span(first, last) && first <= begin && end <= last &&
        (begin - first) % static_cast<std::uintptr_t>(view.itemsize) == 0) {
      from = first;
      to = last;
      lent = std::move(whole);
    }
  }
  const auto* address = reinterpret_cast<const void*>(from);  // NOLINT(performance-no-int-to-ptr)
  auto tensor = runtime::Tensor::create_strided(runtime::BufferRef::host(address), to - from, begin - from,
                                                runtime::Shape::from({extents.data(), dims}).value(),
                                                runtime::Shape::from({strides.data(), dims}).value(), dtype)
                    .value();
  return {tensor, std::make_shared<ArrayHold>(std::move(lent))};
}

template <class T>
void* host_address(const actors::Tensor& tensor, HostUse use, std::shared_ptr<const void>& keep) {
  const auto kept = [&](auto view) {
    auto held = std::make_shared<decltype(view)>(std::move(view));
    keep = held;
    return const_cast<T*>(held->data());
  };
  if (use == HostUse::look) return kept(tensor.host<const T>());
  if (use == HostUse::change) return kept(tensor.host<T>());
  return kept(tensor.overwrite<T>());
}

}  // namespace

actors::Tensor tensor_of(py::handle object, bool writes) {
  if (const auto* tensor = tensor_in(object)) return *tensor;
  if (is_tensor(object)) {
    // pybind11 would make room for one, and nobody would fill it.
    const auto* instance = reinterpret_cast<const py::detail::instance*>(object.ptr());
    if (instance->simple_layout && instance->simple_value_holder[0] == nullptr)
      throw bad_argument("a Tensor that only Tensor.__new__ has made describes nothing");
    return object.cast<const actors::Tensor&>();  // of a class of a user's own
  }
  if (PyObject_CheckBuffer(object.ptr()) != 0) return tensor_of_buffer(object, writes);
  if (py::hasattr(object, "__dlpack__") && PyType_Check(object.ptr()) == 0)
    return tensor_of_dlpack(object, writes);
  throw bad_argument("a " + std::string(Py_TYPE(object.ptr())->tp_name) + " is no tensor",
                     "tensors are what node.tensor and node.alloc make, and arrays; a number is scalar(x)");
}

Elements Elements::dense(void* data, runtime::DType dtype, const runtime::Shape& shape) {
  Elements elements;
  elements.data = data;
  elements.dtype = dtype;
  auto stride = static_cast<py::ssize_t>(runtime::size_of(dtype));
  elements.strides.resize(shape.dims());
  for (std::size_t i = shape.dims(); i-- > 0;) {
    elements.strides[i] = stride;
    stride *= static_cast<py::ssize_t>(shape[i]);
  }
  for (const auto extent : shape) elements.shape.push_back(static_cast<py::ssize_t>(extent));
  return elements;
}

py::buffer_info Elements::info() const {
  static constexpr char nothing = 0;
  constexpr const char* unsigned_formats[] = {"", "B", "H", "", "I", "", "", "", "Q"};
  const auto bytes = runtime::size_of(dtype);
  return {data != nullptr ? data : const_cast<char*>(&nothing),
          static_cast<py::ssize_t>(bytes),
          bits ? unsigned_formats[bytes] : format_of(dtype),
          static_cast<py::ssize_t>(shape.size()),
          shape,
          strides,
          readonly};
}

Elements host_elements(const actors::Tensor& tensor, HostUse use, bool bits) {
  if (!bits) (void)format_of(tensor.dtype());
  std::shared_ptr<const void> keep;
  void* data = nullptr;
  {
    const WithoutPython outside;  // brings bytes home, which waits
    with_element(tensor.dtype(), [&](auto zero) { data = host_address<decltype(zero)>(tensor, use, keep); });
  }
  auto elements = Elements::dense(data, tensor.dtype(), tensor.shape());
  elements.readonly = use == HostUse::look;
  elements.bits = bits;
  elements.keep = std::move(keep);
  return elements;
}

py::object array_of(Elements elements) { return array_over(py::cast(std::move(elements))); }

py::object array_over(const py::object& offered) {
  try {
    return py::module_::import("numpy").attr("asarray")(offered);
  } catch (py::error_already_set& missing) {
    if (!missing.matches(PyExc_ImportError)) throw;
    return py::reinterpret_steal<py::object>(PyMemoryView_FromObject(offered.ptr()));
  }
}

void add_arrays(py::module_& module) {
  py::class_<Elements>(module, "_Elements", py::buffer_protocol(), "Elements in host memory, for numpy.")
      .def_buffer([](Elements& elements) { return elements.info(); });
}

}  // namespace troupe::python
