#include "machine.hpp"

#include <algorithm>

#include "troupe/actors/trace_sink.hpp"

namespace troupe::python {
namespace {

/// The systems that are open, and those that went inside a program, which cannot end them. Inside Python
/// only.
struct Machines {
  std::vector<Machine*> open;
  std::vector<std::unique_ptr<actors::System>> left;
};
Machines& machines() {
  static auto* const all = new Machines;
  return *all;
}

void end(std::unique_ptr<actors::System> system) {
  if (!system) return;
  if (UserCode::is_here()) {
    machines().left.push_back(std::move(system));
  } else {
    without_python([&] { system.reset(); });
  }
}

void end_those_left() {
  if (UserCode::is_here()) return;
  for (auto& system : std::exchange(machines().left, {})) end(std::move(system));
}

std::int64_t whole(py::handle value, const std::string& option) {
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) throw py::error_already_set();
  int overflow = 0;
  const auto number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) throw bad_argument(option + " is out of range");
  return number;
}

/// How a chip comes up, from an object with the attributes of the other system's record of that name.
comm::ChipBootstrapConfig bootstrap_config(py::handle given) {
  comm::ChipBootstrapConfig config;
  config.buffer_alignment = 1;
  const auto text = [](py::handle of, const char* name) { return of.attr(name).cast<std::string>(); };
  const auto number = [](py::handle of, const char* name) { return of.attr(name).cast<std::uint64_t>(); };
  if (const py::object comm = given.attr("comm"); !comm.is_none()) {
    config.comm = {comm.attr("rank").cast<int>(), comm.attr("nranks").cast<int>(),
                   text(comm, "rootinfo_path"), number(comm, "window_size")};
  }
  for (const auto buffer : given.attr("buffers")) {
    config.buffers.push_back({text(buffer, "name"), text(buffer, "dtype"), number(buffer, "count"), "window",
                              number(buffer, "nbytes"), buffer.attr("load_from_host").cast<bool>(),
                              buffer.attr("store_to_host").cast<bool>()});
  }
  const auto stagings = [&](const char* list, std::vector<comm::HostBufferStaging>& into) {
    for (const auto one : given.attr(list))
      into.push_back({text(one, "name"), text(one, "shm_name"), number(one, "size")});
  };
  stagings("host_inputs", config.host_inputs);
  stagings("host_outputs", config.host_outputs);
  return config;
}

bool truth(py::handle value) {
  const int answer = PyObject_IsTrue(value.ptr());
  if (answer < 0) throw py::error_already_set();
  return answer == 1;
}

/// A node elsewhere: its address, or a dict with that and more.
platform::RemoteNode remote_node(py::handle given) {
  platform::RemoteNode node;
  if (py::isinstance<py::str>(given)) {
    node.address = given.cast<std::string>();
    return node;
  }
  if (!py::isinstance<py::dict>(given))
    throw bad_argument("remote is a list of addresses, or of dicts", "remote=[\"host:port\"]");
  const auto milliseconds = [](py::handle value, const char* what) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration_of(value, what));
  };
  for (const auto& [key, value] : given.cast<py::dict>()) {
    const auto what = py::str(key).cast<std::string>();
    const auto text = [value = value] { return py::str(value).cast<std::string>(); };
    if (what == "address") {
      node.address = text();
    } else if (what == "certificate") {
      node.credentials.certificate = text();
    } else if (what == "key") {
      node.credentials.key = text();
    } else if (what == "authority") {
      node.credentials.authority = text();
    } else if (what == "silence") {
      node.silence = milliseconds(value, "silence");
    } else if (what == "patience") {
      node.patience = milliseconds(value, "patience");
    } else {
      throw bad_argument("a remote node has no option \"" + what + "\"",
                         "there are address, certificate, key, authority, silence and patience (seconds)");
    }
  }
  return node;
}

std::vector<platform::RemoteNode> remote_nodes(py::handle given) {
  if (py::isinstance<py::str>(given)) return {remote_node(given)};
  std::vector<platform::RemoteNode> nodes;
  for (const auto one : given) nodes.push_back(remote_node(one));
  return nodes;
}

/// Whether it is an option of a node.
bool node_option(actors::NodeConfig& node, const std::string& option, py::handle value) {
  const std::pair<std::string_view, actors::Count actors::NodeConfig::*> counts[] = {
      {"chips", &actors::NodeConfig::chips},
      {"first_device", &actors::NodeConfig::first_device},
      {"sub_workers", &actors::NodeConfig::sub_workers},
      {"credit", &actors::NodeConfig::credit},
      {"max_runs", &actors::NodeConfig::max_runs},
      {"soft_limit", &actors::NodeConfig::soft_limit},
      {"hard_limit", &actors::NodeConfig::hard_limit}};
  for (const auto& [name, member] : counts) {
    if (option == name) return node.*member = whole(value, option), true;
  }
  if (option == "name") return node.name = py::str(value).cast<std::string>(), true;
  if (option == "platform") return node.platform = py::str(value).cast<std::string>(), true;
  if (option == "abort_grace") return node.abort_grace = duration_of(value, "abort_grace"), true;
  if (option == "arena_bytes") {
    const auto bytes = whole(value, option);
    if (bytes < 0) throw bad_argument("arena_bytes is negative");
    return node.arena_bytes = static_cast<std::uint64_t>(bytes), true;
  }
  if (option == "restarts") return node.restart.restarts = whole(value, option), true;
  if (option == "restarts_within") return node.restart.within = duration_of(value, "restarts_within"), true;
  if (option == "_chip_bootstrap_configs") {
    for (const auto one : value) node.chip_bootstrap_configs.push_back(bootstrap_config(one));
    return true;
  }
  if (option == "checked") {
    node.device_options.emplace_back("checked", truth(value) ? "1" : "0");
    return true;
  }
  if (option == "own_process") return node.own_process = truth(value), true;
  if (option == "remote") return node.remote = remote_nodes(value), true;
  if (option == "rejoin") return node.rejoin = duration_of(value, "rejoin"), true;
  if (option == "recover") return node.recover = truth(value), true;
  if (option == "device_options") {
    for (const auto& [name, text] : value.cast<py::dict>())
      node.device_options.emplace_back(py::str(name).cast<std::string>(), py::str(text).cast<std::string>());
    return true;
  }
  return false;
}

constexpr auto node_options =
    "name, platform, chips, sub_workers, first_device, credit, abort_grace, device_options, checked, "
    "max_runs, restarts, "
    "restarts_within, recover, arena_bytes, soft_limit, hard_limit, own_process, remote, rejoin";

int log_level(py::handle value) {
  if (!py::isinstance<py::str>(value)) return static_cast<int>(whole(value, "log_level"));
  constexpr const char* names[] = {"off", "error", "warning", "info", "debug"};
  const auto name = value.cast<std::string>();
  for (int level = 0; level < 5; ++level) {
    if (name == names[level]) return level;
  }
  throw bad_argument("log_level \"" + name + "\"", "say off, error, warning, info or debug");
}

actors::NodeConfig with(actors::NodeConfig node, const py::kwargs& options) {
  for (const auto& [option, value] : options) {
    if (!node_option(node, option.cast<std::string>(), value))
      throw bad_argument("a node has no option \"" + option.cast<std::string>() + "\"",
                         std::string("there are ") + node_options);
  }
  return node;
}

NodeOf node_of(const Machine& machine, const py::kwargs& options) {
  const auto config = with(machine.defaults(), options);
  const auto& system = machine.system();
  return {without_python([&] { return system.node(config); }), config.soft_limit};
}

NodeOf pod_of(const Machine& machine, const py::object& nodes, const std::string& name,
              std::int64_t sub_workers) {
  actors::PodConfig pod;
  pod.name = name;
  pod.sub_workers = sub_workers;
  auto soft_limit = machine.defaults().soft_limit;
  const auto add = [&](const py::kwargs& options) {
    auto node = with(machine.defaults(), options);
    if (!options.contains("name")) node.name = "node" + std::to_string(pod.nodes.size());
    soft_limit = std::min(soft_limit, node.soft_limit);
    pod.nodes.push_back(std::move(node));
  };
  if (PyIndex_Check(nodes.ptr()) != 0) {
    for (std::int64_t i = whole(nodes, "nodes"); i > 0; --i) add({});
  } else {
    for (const auto one : nodes) add(py::kwargs(one.cast<py::dict>()));
  }
  const auto& system = machine.system();
  return {without_python([&] { return system.pod(pod); }), soft_limit};
}

}  // namespace

Machine::Machine(const py::kwargs& options) {
  end_those_left();
  actors::SystemConfig config;
  for (const auto& [key, value] : options) {
    const auto option = key.cast<std::string>();
    if (option == "threads") {
      const auto threads = whole(value, option);
      if (threads < 0) throw bad_argument("threads is negative");
      config.threads = static_cast<std::size_t>(threads);
    } else if (option == "log_level") {
      config.log_level = log_level(value);
    } else if (option == "log_file") {
      config.log_file = py::str(value).cast<std::string>();
    } else if (option == "trace") {
      config.trace_file = py::str(value).cast<std::string>();
    } else if (!node_option(defaults_, option, value)) {
      throw bad_argument(
          "a System has no option \"" + option + "\"",
          std::string("there are threads, log_level, log_file, trace, and for its nodes ") + node_options);
    }
  }
  system_ = without_python([&] { return std::make_unique<actors::System>(std::move(config)); });
  machines().open.push_back(this);
}

Machine::~Machine() {
  std::erase(machines().open, this);
  end(std::move(system_));
}

void Machine::close() {
  if (system_ && UserCode::is_here()) {
    throw Error(actors::Errc::wrong_state, "a program cannot close a System: it would wait for itself",
                "close it where the program was run");
  }
  end(std::move(system_));
}

const actors::System& Machine::system() const {
  if (!system_) throw Error(actors::Errc::shut_down, "the System has been closed");
  return *system_;
}

void close_all() {
  for (auto* machine : std::exchange(machines().open, {})) machine->close();
  end_those_left();
}

void add_machine(py::module_& module) {
  py::class_<Machine, MachineRef>(
      module, "System",
      "Owns everything: threads, nodes, chips, memory.\n\n"
      "    with troupe.System(platform=\"a2a3sim\", chips=2) as system:\n"
      "        node = system.node()\n\n"
      "Options: threads, log_level, log_file, trace (a file that is written when "
      "the System ends), and those of its\n"
      "nodes: name, platform, chips, sub_workers, first_device, credit, "
      "abort_grace, device_options, checked, max_runs,\n"
      "restarts, restarts_within, recover, arena_bytes, soft_limit, hard_limit, own_process (each chip), "
      "remote (chips of\n"
      "other machines: addresses of nodes, or dicts with address, certificate, key, authority, silence, "
      "patience), rejoin.\n"
      "close() (or the end of `with`) ends what runs.")
      .def(py::init<const py::kwargs&>())
      .def("node", &node_of, py::keep_alive<0, 1>(),
           "A node, up and ready, as the System's options say; options given here come before them.")
      .def("pod", &pod_of, py::keep_alive<0, 1>(), py::arg("nodes"), py::arg("name") = "pod0",
           py::arg("sub_workers") = 0,
           "A worker of nodes: how many, or a list with a dict of options for each. Its tasks are programs.")
      .def("close", &Machine::close,
           "Ends what runs and returns in bounded time; calls fail with shut_down then.")
      .def_property_readonly("closed", [](const Machine& machine) { return !machine.open(); })
      .def(
          "actors", [](const Machine& machine) { return machine.system().actors(); },
          "Actors that are alive; for leak checks.")
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](Machine& machine, const py::args&) { machine.close(); })
      .def("__repr__", [](const Machine& machine) {
        return machine.open() ? "<troupe.System>" : "<troupe.System, closed>";
      });
}

}  // namespace troupe::python
