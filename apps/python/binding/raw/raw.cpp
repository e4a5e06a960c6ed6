// Memory by its address, for surfaces over the package that speak of addresses: what is not said, nobody
// checks. The module troupe._core._raw; no part of what users import.
#include "system/machine.hpp"

namespace troupe::python {
namespace {

using actors::Tensor;
using Extents = std::vector<std::uint64_t>;

runtime::DType dtype_at(std::uint32_t number) {
  if (!runtime::is_dtype(number))
    throw bad_argument("no element type has the number " + std::to_string(number));
  return static_cast<runtime::DType>(number);
}

runtime::Tensor view_of(runtime::BufferRef buffer, std::uint64_t bytes, std::uint64_t offset,
                        const Extents& shape, const Extents& strides, std::uint32_t dtype) {
  return runtime::Tensor::create_strided(buffer, bytes, offset, runtime::Shape::from(shape).value(),
                                         runtime::Shape::from(strides).value(), dtype_at(dtype))
      .value();
}

Tensor host(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset, const Extents& shape,
            const Extents& strides, std::uint32_t dtype) {
  return view_of({0, 0, address}, bytes, offset, shape, strides, dtype);
}

Tensor inside(const Tensor& of, std::uint64_t offset, const Extents& shape, const Extents& strides,
              std::uint32_t dtype) {
  const auto& whole = of.description();
  return {view_of(whole.buffer(), whole.buffer_bytes(), whole.byte_offset() + offset, shape, strides, dtype),
          of.hold()};
}

/// Memory of the same chip, in the same life of it, somewhere else.
Tensor beside(const Tensor& of, std::uint64_t address, std::uint64_t bytes) {
  auto buffer = of.description().buffer();
  if (!actors::is_device_arena(buffer.arena)) throw bad_argument("the tensor is in no chip's memory");
  buffer.offset = address;
  return {view_of(buffer, bytes, 0, {bytes}, {1}, static_cast<std::uint32_t>(runtime::DType::u8)), of.hold()};
}

std::uint64_t address(const Tensor& tensor) {
  const auto& description = tensor.description();
  const auto buffer = description.buffer();
  if (buffer.arena != 0 && !actors::is_device_arena(buffer.arena))
    throw bad_argument("an intermediate has no address");
  return buffer.offset + description.byte_offset();
}

actors::TensorUse use(const Tensor& tensor, std::uint32_t tag) {
  if (tag > TROUPE_TAG_NO_DEP) throw bad_argument("no tag has the number " + std::to_string(tag));
  return {{tensor.description(), static_cast<runtime::Tag>(tag)}, tensor.hold()};
}

/// Where a contiguous buffer lies that something offers.
py::tuple span(const py::object& object) {
  Py_buffer view{};
  if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_ND) != 0) throw py::error_already_set();
  const auto found = py::make_tuple(reinterpret_cast<std::uintptr_t>(view.buf),
                                    static_cast<std::uint64_t>(view.len), view.readonly != 0);
  PyBuffer_Release(&view);
  return found;
}

/// Context, base and bytes of a rank's window.
py::tuple window(const actors::Domain& domain, int rank) {
  (void)domain.rank(rank);
  const auto& info = domain.info().ranks[static_cast<std::size_t>(rank)];
  return py::make_tuple(info.context, info.base, info.bytes);
}

/// A task on a chip (-1: any), as short as it can be; nothing to wait for comes of it.
void submit(const SeatRef& seat, const std::string& name, const py::tuple& items, int chip) {
  auto call = seat->use().new_call(items.size());
  add_arguments(call.args, items);
  if (chip >= 0) call.take(actors::on_chip(chip));
  seat->call([&](actors::Orchestrator& program) {
    return program.submit_gathered(program.callable(name), std::move(call));
  });
}
void submit_group(const SeatRef& seat, const std::string& name, const std::vector<py::tuple>& members,
                  const std::vector<int>& chips) {
  std::vector<actors::Args> all;
  for (const auto& member : members) add_arguments(all.emplace_back(), member);
  actors::detail::SubmitCall call;
  const auto tasks = all.size();
  seat->call(
      [&](actors::Orchestrator& program) {
        return program.submit_gathered(program.callable(name), std::move(all), chips, std::move(call));
      },
      tasks);
}

/// Of chips that came up from configuration: rank, ranks, context, window, its bytes, buffers by name.
py::list contexts(const NodeOf& of) {
  py::list found;
  for (const auto& chip : without_python([&] { return of.node.chip_contexts(); })) {
    py::dict buffers;
    for (const auto& [name, address] : chip.buffer_ptrs) buffers[py::str(name)] = address;
    found.append(py::make_tuple(chip.rank, chip.nranks, chip.device_ctx, chip.local_window_base,
                                chip.actual_window_size, buffers));
  }
  return found;
}

}  // namespace

void add_raw(py::module_& module) {
  auto raw = module.def_submodule("_raw", "Memory by its address.");
  raw.def(
      "word",
      [](std::uint64_t word) {
        return runtime::ScalarArg{word, runtime::ScalarKind::any};
      },
      py::arg("word"), "A scalar of which nothing but its 64 bits is known.");
  raw.def("host", &host, py::arg("address"), py::arg("bytes"), py::arg("offset"), py::arg("shape"),
          py::arg("strides"), py::arg("dtype"),
          "A view of memory of this process, which has to stay until the runs that use it have ended.");
  raw.def(
      "host_use",
      [](std::uint64_t place, std::uint64_t bytes, std::uint64_t offset, const Extents& shape,
         const Extents& strides, std::uint32_t dtype,
         std::uint32_t tag) { return use(host(place, bytes, offset, shape, strides, dtype), tag); },
      "use(host(…), tag), in one call.");
  raw.def("inside", &inside, py::arg("of"), py::arg("offset"), py::arg("shape"), py::arg("strides"),
          py::arg("dtype"), "Another view of a tensor's buffer, `offset` bytes behind its first element.");
  raw.def("beside", &beside, py::arg("of"), py::arg("address"), py::arg("bytes"),
          "Bytes of the chip that a device tensor lives on.");
  raw.def("address", &address, py::arg("tensor"), "Of its first element, where it lies.");
  raw.def("use", &use, py::arg("tensor"), py::arg("tag"), "A tensor argument, by the number of its tag.");
  raw.def("span", &span, py::arg("object"),
          "Address and bytes of the buffer that it offers, and whether that is read-only. Keep the object.");
  raw.def("submit", &submit, py::arg("program"), py::arg("name"), py::arg("items"), py::arg("chip"),
          "A task on a chip, -1: any.");
  raw.def("submit_group", &submit_group, py::arg("program"), py::arg("name"), py::arg("members"),
          py::arg("chips"));
  raw.def("contexts", &contexts, py::arg("node"),
          "What came of the configuration that its chips came up from.");
  raw.def("window", &window, py::arg("domain"), py::arg("rank"),
          "Of one rank: the addresses of its context and of its window, and the bytes of that.");
}

}  // namespace troupe::python
