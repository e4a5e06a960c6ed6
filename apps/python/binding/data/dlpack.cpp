#include "data/dlpack.hpp"

#include <array>
#include <cstdint>

namespace troupe::python {
namespace {

// The structures of DLPack (dmlc/dlpack, versions 0 and 1), which are its ABI.

struct Device {
  std::int32_t type, id;
};
struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct DenseTensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct Managed {
  DenseTensor tensor;
  void* context;
  void (*deleter)(Managed*);
};
struct ManagedVersioned {
  std::uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  std::uint64_t flags;
  DenseTensor tensor;
};
constexpr std::uint64_t flag_read_only = 1, flag_is_copied = 2;
enum Code : std::uint8_t { code_int = 0, code_uint = 1, code_float = 2, code_bfloat = 4, code_bool = 6 };
constexpr std::int32_t device_cpu = 1;

constexpr auto plain_name = "dltensor";
constexpr auto versioned_name = "dltensor_versioned";

/// What was lent: ours to give back.
class Borrowed final : public Leaving {
 public:
  explicit Borrowed(py::handle capsule) {
    if (PyCapsule_IsValid(capsule.ptr(), versioned_name) != 0) {
      auto* managed = static_cast<ManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), versioned_name));
      if (managed->major != 1)
        throw bad_argument("what __dlpack__ lends is of version " + std::to_string(managed->major));
      PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
      versioned_ = managed;
    } else if (PyCapsule_IsValid(capsule.ptr(), plain_name) != 0) {
      plain_ = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), plain_name));
      PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    } else {
      throw bad_argument("__dlpack__ returned " + shown(capsule) + ", which is no tensor");
    }
  }
  ~Borrowed() override {
    if (plain_ != nullptr && plain_->deleter != nullptr) plain_->deleter(plain_);
    if (versioned_ != nullptr && versioned_->deleter != nullptr) versioned_->deleter(versioned_);
  }
  const DenseTensor& tensor() const { return plain_ != nullptr ? plain_->tensor : versioned_->tensor; }
  std::uint64_t flags() const { return versioned_ != nullptr ? versioned_->flags : 0; }

 private:
  Managed* plain_ = nullptr;
  ManagedVersioned* versioned_ = nullptr;
};

class BorrowedHold final : public actors::BufferHold {
 public:
  explicit BorrowedHold(std::shared_ptr<Borrowed> lent) : lent_(std::move(lent)) {}

 private:
  std::shared_ptr<Borrowed> lent_;
};

runtime::DType dtype_of(const DataType& type) {
  using runtime::DType;
  constexpr std::pair<int, DType> known[] = {
      {code_float << 8 | 32, DType::f32},  {code_float << 8 | 64, DType::f64},
      {code_float << 8 | 16, DType::f16},  {code_bfloat << 8 | 16, DType::bf16},
      {code_int << 8 | 8, DType::i8},      {code_int << 8 | 16, DType::i16},
      {code_int << 8 | 32, DType::i32},    {code_int << 8 | 64, DType::i64},
      {code_uint << 8 | 8, DType::u8},     {code_uint << 8 | 16, DType::u16},
      {code_uint << 8 | 32, DType::u32},   {code_uint << 8 | 64, DType::u64},
      {code_bool << 8 | 8, DType::boolean}};
  for (const auto& [key, dtype] : known) {
    if (type.lanes == 1 && key == (type.code << 8 | type.bits)) return dtype;
  }
  throw bad_argument(
      "there are no tensors of the element type that __dlpack__ lends (code " + std::to_string(type.code) +
          ", " + std::to_string(type.bits) + " bits)",
      "tensors have float32, float64, float16, bfloat16, int8 to int64, uint8 to uint64, or bool "
      "elements");
}

DataType type_of(runtime::DType dtype) {
  using runtime::DType;
  const auto bits = static_cast<std::uint8_t>(8 * runtime::size_of(dtype));
  switch (dtype) {
    case DType::f32:
    case DType::f64:
    case DType::f16:
      return {code_float, bits, 1};
    case DType::bf16:
      return {code_bfloat, bits, 1};
    case DType::boolean:
      return {code_bool, bits, 1};
    case DType::u8:
    case DType::u16:
    case DType::u32:
    case DType::u64:
      return {code_uint, bits, 1};
    default:
      return {code_int, bits, 1};
  }
}

/// What `__dlpack__` answers; what it raises is told with what lends.
py::object ask(py::handle object) {
  const auto refused = [&](const py::error_already_set& raised) {
    return bad_argument("a " + std::string(Py_TYPE(object.ptr())->tp_name) +
                            " does not lend its memory: " + utf8_of(py::str(raised.value())),
                        "a copy of it as a numpy array is a tensor");
  };
  try {
    const auto device = py::tuple(object.attr("__dlpack_device__")());
    const auto type = device.size() == 2 ? PyLong_AsLong(device[0].ptr()) : -1;
    if (type == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (type != device_cpu && type != 3 && type != 11) {  // pinned memory is host memory, too
      throw bad_argument("a " + std::string(Py_TYPE(object.ptr())->tp_name) +
                             " in the memory of a device (of DLPack's type " + std::to_string(type) +
                             "), and arrays are in host memory",
                         "x.cpu() is, in torch");
    }
    const auto lend = object.attr("__dlpack__");
    try {
      return lend(py::arg("max_version") = py::make_tuple(1, 0));
    } catch (py::error_already_set& older) {
      if (!older.matches(PyExc_TypeError)) throw;
    }
    return lend();
  } catch (py::error_already_set& raised) {
    if (!raised.matches(PyExc_Exception)) throw;
    throw refused(raised);
  }
}

/// The memory that a tensor of torch is a view of, so that views in one run keep their order; DLPack does not
/// tell.
std::pair<const std::byte*, std::uint64_t> storage_of(py::handle object) {
  if (!py::hasattr(object, "untyped_storage")) return {nullptr, 0};
  const auto storage = object.attr("untyped_storage")();
  const auto address = storage.attr("data_ptr")().cast<std::uintptr_t>();
  return {reinterpret_cast<const std::byte*>(address),  // NOLINT(performance-no-int-to-ptr)
          storage.attr("nbytes")().cast<std::uint64_t>()};
}

}  // namespace

actors::Tensor tensor_of_dlpack(py::handle object, bool writes) {
  const auto capsule = ask(object);
  std::shared_ptr<Borrowed> lent(new Borrowed(capsule), [](Borrowed* one) { leave(one); });
  const auto& given = lent->tensor();
  if (writes && (lent->flags() & flag_read_only) != 0)
    throw bad_argument("a tensor that is lent read-only, and a task that writes it", "give it a copy");
  if (writes && (lent->flags() & flag_is_copied) != 0)
    throw bad_argument("a tensor that is lent as a copy, and a task that writes it", "nobody would see it");
  const auto dtype = dtype_of(given.dtype);
  if (given.ndim == 0) {
    throw bad_argument("an array without dimensions is no tensor",
                       "x.reshape(1) has one; a number is scalar(x)");
  }
  constexpr std::int32_t most = 64;
  if (given.ndim < 0 || given.ndim > most)
    throw bad_argument("a tensor of " + std::to_string(given.ndim) + " dimensions is none");
  const auto dims = static_cast<std::size_t>(given.ndim);
  std::array<std::uint64_t, most> extents{}, strides{};
  std::uint64_t last = 0, dense = 1;
  bool empty = false, overflow = false;
  for (std::size_t i = dims; i-- > 0;) {
    const auto stride = given.strides != nullptr ? given.strides[i] : static_cast<std::int64_t>(dense);
    if (given.shape[i] < 0 || stride < 0)
      throw bad_argument("an array that runs backwards is no tensor", "a contiguous copy of it is one");
    extents[i] = static_cast<std::uint64_t>(given.shape[i]);
    strides[i] = static_cast<std::uint64_t>(stride);
    empty = empty || extents[i] == 0;
    std::uint64_t reach = 0;
    if (extents[i] > 0) overflow = overflow || __builtin_mul_overflow(extents[i] - 1, strides[i], &reach);
    overflow = overflow || __builtin_add_overflow(last, reach, &last);
    overflow = overflow || __builtin_mul_overflow(dense, extents[i], &dense);
  }
  std::uint64_t bytes = 0;
  overflow = overflow || __builtin_mul_overflow(last + 1, runtime::size_of(dtype), &bytes);
  if (overflow) throw bad_argument("a tensor that is larger than memory is none");
  const auto* address = static_cast<const std::byte*>(given.data) + given.byte_offset;
  std::uint64_t offset = 0;
  if (empty) bytes = 0;
  if (const auto [begin, size] = storage_of(object); begin != nullptr) {
    const auto from = reinterpret_cast<std::uintptr_t>(begin), at = reinterpret_cast<std::uintptr_t>(address);
    if (at >= from && at - from <= size && bytes <= size - (at - from) &&
        (at - from) % runtime::size_of(dtype) == 0) {
      offset = at - from;
      address = begin;
      bytes = size;
    }
  }
  auto tensor = runtime::Tensor::create_strided(runtime::BufferRef::host(address), bytes, offset,
                                                runtime::Shape::from({extents.data(), dims}).value(),
                                                runtime::Shape::from({strides.data(), dims}).value(), dtype)
                    .value();
  return {tensor, std::make_shared<BorrowedHold>(std::move(lent))};
}

py::object dlpack_of(Elements elements) {
  struct Lent {
    Managed managed{};
    Elements elements;
    std::vector<std::int64_t> shape, strides;
  };
  auto lent = std::make_unique<Lent>();
  lent->elements = std::move(elements);
  const auto& of = lent->elements;
  const auto bytes = static_cast<py::ssize_t>(runtime::size_of(of.dtype));
  for (std::size_t i = 0; i < of.shape.size(); ++i) {
    lent->shape.push_back(of.shape[i]);
    lent->strides.push_back(of.strides[i] / bytes);
  }
  auto& managed = lent->managed;
  managed.tensor = {of.data,
                    {device_cpu, 0},
                    static_cast<std::int32_t>(of.shape.size()),
                    type_of(of.dtype),
                    lent->shape.data(),
                    lent->strides.data(),
                    0};
  managed.context = lent.get();
  // Perhaps on a thread that has never seen Python.
  managed.deleter = [](Managed* it) { delete static_cast<Lent*>(it->context); };
  auto capsule = py::reinterpret_steal<py::object>(PyCapsule_New(&managed, plain_name, [](PyObject* object) {
    if (PyCapsule_IsValid(object, plain_name) == 0) return;  // taken: who took it gives it back
    auto* it = static_cast<Managed*>(PyCapsule_GetPointer(object, plain_name));
    it->deleter(it);
  }));
  if (!capsule) throw py::error_already_set();
  (void)lent.release();
  return capsule;
}

}  // namespace troupe::python
