// Chips that come up from configuration: with a communicator, and buffers in their windows.
#include "system/machine.hpp"

namespace troupe::python {
namespace {

/// A field of a record, which is a dict or an object with attributes; `otherwise` where a dict has none.
py::object field(py::handle of, const char* name, py::object otherwise) {
  if (!py::isinstance<py::dict>(of)) {
    auto found = py::getattr(of, name, py::object());
    if (!found)
      throw bad_argument("a record of chip_bootstrap_configs is a dict, and " + shown(of) + " is none",
                         "{\"comm\": …, \"buffers\": [{\"name\": \"x\", \"count\": 4, \"nbytes\": 16}]}");
    return found;
  }
  const auto record = py::reinterpret_borrow<py::dict>(of);
  return record.contains(name) ? py::object(record[name]) : otherwise;
}
py::object field(py::handle of, const char* name) {
  auto found = field(of, name, {});
  if (!found) throw bad_argument("a record of chip_bootstrap_configs without \"" + std::string(name) + "\"");
  return found;
}

void check_fields(py::handle of, std::initializer_list<const char*> known) {
  if (!py::isinstance<py::dict>(of)) return;
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(of)) {
    const auto name = string_of(key, "the name of a field of chip_bootstrap_configs");
    std::string all;
    bool fine = false;
    for (const auto* one : known) {
      fine = fine || name == one;
      all += (all.empty() ? "" : ", ") + std::string(one);
    }
    if (!fine) throw bad_argument("chip_bootstrap_configs has no \"" + name + "\" there", "there are " + all);
  }
}

std::string text(py::handle of, const char* name) { return string_of(field(of, name), name); }
std::uint64_t number(py::handle value, const char* name) {
  const auto many = integer_of<std::int64_t>(value, name);
  if (many < 0) throw bad_argument(std::string(name) + " is " + std::to_string(many) + ", which is negative");
  return static_cast<std::uint64_t>(many);
}
std::uint64_t number_in(py::handle of, const char* name) { return number(field(of, name), name); }

comm::ChipBufferSpec buffer_spec(py::handle of) {
  check_fields(of, {"name", "dtype", "count", "nbytes", "load_from_host", "store_to_host"});
  return {text(of, "name"),
          string_of(field(of, "dtype", py::str("float32")), "dtype"),
          number_in(of, "count"),
          "window",
          number_in(of, "nbytes"),
          truth_of(field(of, "load_from_host", py::bool_(false)), "load_from_host"),
          truth_of(field(of, "store_to_host", py::bool_(false)), "store_to_host")};
}

}  // namespace

comm::ChipBootstrapConfig bootstrap_config(py::handle given) {
  check_fields(given, {"comm", "buffers", "host_inputs", "host_outputs", "buffer_alignment"});
  comm::ChipBootstrapConfig config;
  // The other system, whose records have attributes, packs them.
  config.buffer_alignment = py::isinstance<py::dict>(given)
                                ? number(field(given, "buffer_alignment", py::int_(64)), "buffer_alignment")
                                : 1;
  if (const auto comm = field(given, "comm", py::none()); !comm.is_none()) {
    check_fields(comm, {"rank", "nranks", "rootinfo_path", "window_size"});
    config.comm = {integer_of<int>(field(comm, "rank"), "rank"),
                   integer_of<int>(field(comm, "nranks"), "nranks"), text(comm, "rootinfo_path"),
                   number_in(comm, "window_size")};
  }
  const auto records = [&](const char* list) {
    return items_of(field(given, list, py::list()), list, "a list with a dict for each");
  };
  for (const auto& buffer : records("buffers")) config.buffers.push_back(buffer_spec(buffer));
  const auto stagings = [&](const char* list, std::vector<comm::HostBufferStaging>& into) {
    for (const auto& one : records(list)) {
      check_fields(one, {"name", "shm_name", "size"});
      into.push_back({text(one, "name"), text(one, "shm_name"), number_in(one, "size")});
    }
  };
  stagings("host_inputs", config.host_inputs);
  stagings("host_outputs", config.host_outputs);
  return config;
}

void add_bootstrap(py::module_& module) {
  auto node = py::reinterpret_borrow<py::class_<NodeOf>>(module.attr("Node"));
  node.def(
          "chip_contexts",
          [](const NodeOf& on) {
            py::list found;
            for (const auto& chip : without_python([&] { return on.node.chip_contexts(); })) {
              py::dict one;
              one["device_id"] = chip.device_id;
              one["rank"] = chip.rank;
              one["nranks"] = chip.nranks;
              one["device_ctx"] = chip.device_ctx;
              one["local_window_base"] = chip.local_window_base;
              one["actual_window_size"] = chip.actual_window_size;
              py::dict buffers;
              for (const auto& [name, address] : chip.buffer_ptrs) buffers[py::str(name)] = address;
              one["buffer_ptrs"] = buffers;
              found.append(one);
            }
            return found;
          },
          "Of chips that came up from chip_bootstrap_configs: a dict for each, with its rank, window and "
          "buffers.")
      .def(
          "store_to_host",
          [](const NodeOf& on, const std::string& name) {
            without_python([&] { on.node.store_to_host(name); });
          },
          py::arg("name") = "",
          "Copies buffers with store_to_host to their staging now: those called `name`, or all.");
  auto program = py::reinterpret_borrow<py::class_<Seat, SeatRef>>(module.attr("Orchestrator"));
  program.def(
      "configured_domain", [](const SeatRef& seat, int chip) { return seat->use().configured_domain(chip); },
      py::arg("chip") = 0,
      "The domain that the chip came up with (chip_bootstrap_configs); the node releases it.");
}

}  // namespace troupe::python
