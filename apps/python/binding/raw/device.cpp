// One device context, by itself: no actors, no graph, and nobody who waits but the caller. For programs that
// are a rank each (comm_*), which an actor must not be. The class troupe._core._Device.
#include "system/machine.hpp"

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"

namespace troupe::python {
namespace {

/// Buffer, bytes, first element, shape, strides, dtype, tag, address space.
using TensorTuple = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::vector<std::uint32_t>,
                               std::vector<std::uint32_t>, std::uint8_t, std::uint8_t, std::uint8_t>;

troupe_tensor_arg argument_of(const TensorTuple& given) {
  troupe_tensor_arg arg{};
  const auto& shape = std::get<3>(given);
  const auto& strides = std::get<4>(given);
  if (shape.size() > std::size(arg.shape) || strides.size() != shape.size())
    throw bad_argument("a tensor has up to five dimensions, and a stride for each");
  arg.buffer = std::get<0>(given);
  arg.buffer_bytes = std::get<1>(given);
  arg.start_offset = std::get<2>(given);
  arg.ndims = static_cast<std::uint32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), arg.shape);
  std::copy(strides.begin(), strides.end(), arg.strides);
  arg.dtype = std::get<5>(given);
  arg.tag = std::get<6>(given);
  arg.address_space = std::get<7>(given);
  return arg;
}

void* pointer(std::uint64_t address) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));  // NOLINT(performance-no-int-to-ptr)
}

class Device {
 public:
  explicit Device(const std::string& platform) {
    const WithoutPython outside;
    const auto library = platform::DeviceLibrary::open(platform).value();
    platform::ContextEvents events;
    events.complete = [](std::span<const troupe_completion>) {};
    context_.emplace(platform::DeviceContext::create(library.api(), std::make_shared<platform::HostThreads>(),
                                                     std::move(events))
                         .value());
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    const WithoutPython outside;
    context_.reset();
  }

  void close() {
    const WithoutPython outside;
    (void)context_->close().value();
  }
  void set_device(std::int32_t id) {
    const WithoutPython outside;
    context_->set_device(id).value();
  }
  void reset_device() {
    const WithoutPython outside;
    context_->reset_device().value();
  }
  std::int32_t device_id() const { return context_->device_id(); }

  std::uint64_t malloc(std::uint64_t bytes) { return context_->malloc(bytes).value(); }
  void free(std::uint64_t address) { context_->free(address).value(); }
  void copy_to(std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
    const WithoutPython outside;
    context_->copy_to(to, pointer(from), bytes).value();
  }
  void copy_from(std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
    const WithoutPython outside;
    context_->copy_from(pointer(to), from, bytes).value();
  }
  std::uint64_t memory_used() const { return context_->status().value().totals.memory_used; }

  std::uint64_t add(const std::string& name, const py::bytes& object) {
    const auto bytes = static_cast<std::string_view>(object);
    troupe_callable callable{};
    callable.name = name.c_str();
    callable.bytes = bytes.data();
    callable.byte_count = bytes.size();
    callable.core_kind = TROUPE_CORE_AIV;
    const WithoutPython outside;
    return context_->register_callable(callable).value();
  }
  void remove(std::uint64_t callable) { context_->unregister_callable(callable).value(); }

  void run(std::uint64_t callable, const std::vector<TensorTuple>& tensors,
           const std::vector<std::uint64_t>& scalars) {
    platform::RunArgs args;
    for (const auto& tensor : tensors) args.add(argument_of(tensor));
    for (const auto word : scalars) args.add(runtime::ScalarArg{word, runtime::ScalarKind::any});
    const auto run = args.run(1, callable);
    const WithoutPython outside;
    (void)context_->run(run).value();
  }

  void comm_init(std::int32_t rank, std::int32_t ranks, const std::string& rootinfo_path) {
    const WithoutPython outside;
    context_->comm_init(rank, ranks, rootinfo_path).value();
  }
  std::uint64_t comm_alloc_windows(std::uint64_t bytes) {
    const WithoutPython outside;
    return context_->comm_alloc_windows(bytes).value();
  }
  std::uint64_t comm_local_window_base() { return context_->comm_local_window_base().value(); }
  std::uint64_t comm_window_size() { return context_->comm_window_size().value(); }
  void comm_barrier() {
    const WithoutPython outside;
    context_->comm_barrier().value();
  }
  void comm_destroy() {
    const WithoutPython outside;
    context_->comm_destroy().value();
  }

 private:
  std::optional<platform::DeviceContext> context_;
};

}  // namespace

void add_device(py::module_& module) {
  py::class_<Device>(
      module, "_Device",
      "One device context: memory by address, callables from bytes, and the blocking comm_* of "
      "rank programs.")
      .def(py::init<const std::string&>(), py::arg("platform"))
      .def("close", &Device::close)
      .def("set_device", &Device::set_device, py::arg("device_id"))
      .def("reset_device", &Device::reset_device)
      .def_property_readonly("device_id", &Device::device_id, "-1: none is set.")
      .def("malloc", &Device::malloc, py::arg("bytes"))
      .def("free", &Device::free, py::arg("address"))
      .def("copy_to", &Device::copy_to, py::arg("to"), py::arg("host"), py::arg("bytes"))
      .def("copy_from", &Device::copy_from, py::arg("host"), py::arg("source"), py::arg("bytes"))
      .def_property_readonly("memory_used", &Device::memory_used)
      .def("add", &Device::add, py::arg("name"), py::arg("object"), "A callable from its bytes; its number.")
      .def("remove", &Device::remove, py::arg("callable"))
      .def(
          "run", &Device::run, py::arg("callable"), py::arg("tensors"), py::arg("scalars"),
          "Runs it and waits. A tensor is (buffer, bytes, first element, shape, strides, dtype, tag, space).")
      .def("comm_init", &Device::comm_init, py::arg("rank"), py::arg("ranks"), py::arg("rootinfo_path"))
      .def("comm_alloc_windows", &Device::comm_alloc_windows, py::arg("bytes"))
      .def("comm_local_window_base", &Device::comm_local_window_base)
      .def("comm_window_size", &Device::comm_window_size)
      .def("comm_barrier", &Device::comm_barrier)
      .def("comm_destroy", &Device::comm_destroy);
}

}  // namespace troupe::python
