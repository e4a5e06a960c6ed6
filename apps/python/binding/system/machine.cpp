#include "system/machine.hpp"

#include <algorithm>

#include "system/logs.hpp"
#include "system/records.hpp"
#include "troupe/actors/tensor_dump.hpp"
#include "troupe/actors/trace_sink.hpp"

namespace troupe::python {
namespace {

/// The systems that are open, and those that went inside a program, which cannot end them. Inside Python
/// only.
struct Machines {
  std::vector<Machine*> open;
  std::vector<RunningSystem> left;
};
Machines& machines() {
  static auto* const all = new Machines;
  return *all;
}

void end(RunningSystem running) {
  if (!running.system) return;
  if (UserCode::is_here()) {
    machines().left.push_back(std::move(running));
  } else {
    without_python([&] {
      running.system.reset();
      if (running.log) running.log->finish();
    });
  }
}

void end_those_left() {
  if (UserCode::is_here()) return;
  for (auto& running : std::exchange(machines().left, {})) end(std::move(running));
}

/// "a2a3sim", or the path of a library.
std::string name_or_path(py::handle value, const std::string& option) {
  return py::isinstance<py::str>(value) ? string_of(value, option) : path_of(value, option);
}

/// A node elsewhere: its address, or a dict with that and more.
platform::RemoteNode remote_node(py::handle given) {
  platform::RemoteNode node;
  if (py::isinstance<py::str>(given)) {
    node.address = string_of(given, "the address of a remote node");
    return node;
  }
  if (!py::isinstance<py::dict>(given))
    throw bad_argument("remote is a list of addresses, or of dicts, and has " + shown(given),
                       "remote=[\"host:port\"]");
  const auto milliseconds = [](py::handle value, const char* what) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration_of(value, what));
  };
  for (const auto& [key, value] : given.cast<py::dict>()) {
    const auto what = string_of(key, "the name of an option of a remote node");
    const auto text = [&what, value = value] { return string_of(value, what); };
    const auto path = [&what, value = value] { return path_of(value, what); };
    if (what == "address") {
      node.address = text();
    } else if (what == "certificate") {
      node.credentials.certificate = path();
    } else if (what == "key") {
      node.credentials.key = path();
    } else if (what == "authority") {
      node.credentials.authority = path();
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
  for (const auto& one :
       items_of(given, "remote", "a list of addresses, or of dicts", "remote=[\"host:port\"]"))
    nodes.push_back(remote_node(one));
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
    if (option == name) return node.*member = integer_of<std::int64_t>(value, option), true;
  }
  if (option == "name") return node.name = string_of(value, option), true;
  if (option == "platform") return node.platform = name_or_path(value, option), true;
  if (option == "abort_grace") return node.abort_grace = duration_of(value, "abort_grace"), true;
  if (option == "arena_bytes") {
    const auto bytes = integer_of<std::int64_t>(value, option);
    if (bytes < 0) throw bad_argument("arena_bytes is negative");
    return node.arena_bytes = static_cast<std::uint64_t>(bytes), true;
  }
  if (option == "restarts") return node.restart.restarts = integer_of<std::int64_t>(value, option), true;
  if (option == "restarts_within") return node.restart.within = duration_of(value, "restarts_within"), true;
  if (option == "chip_bootstrap_configs") {
    for (const auto& one : items_of(value, option, "a list with a dict for each chip"))
      node.chip_bootstrap_configs.push_back(bootstrap_config(one));
    return true;
  }
  if (option == "checked") {
    node.device_options.emplace_back("checked", truth_of(value, option) ? "1" : "0");
    return true;
  }
  if (option == "own_process") return node.own_process = truth_of(value, option), true;
  if (option == "remote") return node.remote = remote_nodes(value), true;
  if (option == "rejoin") return node.rejoin = duration_of(value, "rejoin"), true;
  if (option == "placement") return node.placement = policy_of(value), true;
  if (option == "models") return node.models = path_of(value, option), true;
  if (option == "recover") return node.recover = truth_of(value, option), true;
  if (option == "device_options") {
    for (auto& one : device_options(value)) node.device_options.push_back(std::move(one));
    return true;
  }
  return false;
}

constexpr auto node_options =
    "name, platform, chips, sub_workers, first_device, credit, abort_grace, device_options, checked, "
    "max_runs, restarts, "
    "restarts_within, recover, arena_bytes, soft_limit, hard_limit, own_process, remote, rejoin, "
    "placement, models, chip_bootstrap_configs";

constexpr auto system_options = "threads, log_level, log_file, log, trace, report_crashes, dump, dump_only";

int log_level(py::handle value) {
  if (!py::isinstance<py::str>(value)) return integer_of<int>(value, "log_level");
  constexpr const char* names[] = {"off", "error", "warning", "info", "debug"};
  const auto name = string_of(value, "log_level");
  for (int level = 0; level < 5; ++level) {
    if (name == names[level]) return level;
  }
  throw bad_argument("log_level \"" + name + "\"", "say off, error, warning, info or debug");
}

NodeOf node_of(const Machine& machine, const py::kwargs& options) {
  const auto config = node_config(machine.defaults(), options);
  const auto& system = machine.system();
  return {without_python([&] { return system.node(config); }), config.soft_limit};
}

/// A worker of workers; the least that one program of any of them may submit is noted.
actors::PodConfig pod_config(const Machine& machine, const py::object& nodes, const std::string& name,
                             std::int64_t sub_workers, const py::object& workers, std::int64_t& soft_limit) {
  actors::PodConfig pod;
  pod.name = name;
  pod.sub_workers = sub_workers;
  soft_limit = std::min<std::int64_t>(soft_limit, actors::WorkerConfig().soft_limit);
  const auto add = [&](const py::kwargs& options) {
    auto node = node_config(machine.defaults(), options);
    if (!options.contains("name")) node.name = "node" + std::to_string(pod.nodes.size());
    soft_limit = std::min<std::int64_t>(soft_limit, node.soft_limit);
    pod.nodes.push_back(std::move(node));
  };
  if (PyIndex_Check(nodes.ptr()) != 0) {
    for (std::int64_t i = integer_of<std::int64_t>(nodes, "nodes"); i > 0; --i) add({});
  } else {
    constexpr auto hint = "pod(2), or pod([{\"chips\": 2}, {\"chips\": 4}])";
    const auto refused = [&] {
      return bad_argument(
          "nodes says how many, or is a list with a dict for each, and " + shown(nodes) + " is neither",
          hint);
    };
    if (!py::isinstance<py::iterable>(nodes) || py::isinstance<py::str>(nodes)) throw refused();
    for (const auto& one : items_of(nodes, "nodes", "how many, or a list with a dict for each", hint)) {
      if (!py::isinstance<py::dict>(one)) throw refused();
      add(py::kwargs(one.cast<py::dict>()));
    }
  }
  if (workers.is_none()) return pod;
  constexpr auto workers_hint = "workers=[{\"nodes\": 2, \"name\": \"rack\"}]";
  for (const auto& one : items_of(workers, "workers", "a list with a dict for each", workers_hint)) {
    if (!py::isinstance<py::dict>(one))
      throw bad_argument("workers is a list with a dict for each, and has " + shown(one), workers_hint);
    const auto given = one.cast<py::dict>();
    py::object inner_nodes = py::int_(0), inner_workers = py::none();
    auto inner_name = "pod" + std::to_string(pod.workers.size());
    std::int64_t inner_sub_workers = 0;
    for (const auto& [key, value] : given) {
      const auto option = string_of(key, "the name of an option of a worker");
      if (option == "nodes") {
        inner_nodes = py::reinterpret_borrow<py::object>(value);
      } else if (option == "workers") {
        inner_workers = py::reinterpret_borrow<py::object>(value);
      } else if (option == "name") {
        inner_name = string_of(value, option);
      } else if (option == "sub_workers") {
        inner_sub_workers = integer_of<std::int64_t>(value, option);
      } else {
        throw bad_argument("a worker of a pod has no option \"" + option + "\"",
                           "there are nodes, workers, name and sub_workers");
      }
    }
    const auto inner =
        pod_config(machine, inner_nodes, inner_name, inner_sub_workers, inner_workers, soft_limit);
    pod.workers.push_back(without_python([&] { return actors::to_worker(inner); }));
  }
  return pod;
}

NodeOf pod_of(const Machine& machine, const py::object& nodes, const std::string& name,
              std::int64_t sub_workers, const py::object& workers) {
  auto soft_limit = static_cast<std::int64_t>(machine.defaults().soft_limit);
  const auto pod = pod_config(machine, nodes, name, sub_workers, workers, soft_limit);
  const auto& system = machine.system();
  return {without_python([&] { return system.pod(pod); }), soft_limit};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> device_options(py::handle given) {
  constexpr auto hint = "device_options={\"checked\": 1}";
  if (!py::isinstance<py::dict>(given))
    throw bad_argument("device_options is a dict of names and values, and " + shown(given) + " is none",
                       hint);
  std::vector<std::pair<std::string, std::string>> options;
  for (const auto& [name, value] : given.cast<py::dict>())
    options.emplace_back(string_of(name, "the name of a device's option", hint), utf8_of(py::str(value)));
  return options;
}

actors::NodeConfig node_config(const actors::NodeConfig& defaults, const py::kwargs& options) {
  auto node = defaults;
  for (const auto& [option, value] : options) {
    const auto name = string_of(option, "the name of an option of a node");
    if (!node_option(node, name, value))
      throw bad_argument("a node has no option \"" + name + "\"", std::string("there are ") + node_options);
  }
  return node;
}

Machine::Machine(const py::kwargs& options) {
  end_those_left();
  actors::SystemConfig config;
  std::string dump_folder, dumped;
  for (const auto& [key, value] : options) {
    const auto option = string_of(key, "the name of an option of a System");
    const auto path = [&option, value = value] { return path_of(value, option); };
    if (option == "threads") {
      const auto threads = integer_of<std::int64_t>(value, option);
      if (threads < 0) throw bad_argument("threads is negative");
      config.threads = static_cast<std::size_t>(threads);
    } else if (option == "log_level") {
      config.log_level = log_level(value);
    } else if (option == "log_file") {
      config.log_file = path();
    } else if (option == "log") {
      if (PyCallable_Check(value.ptr()) == 0)
        throw bad_argument("log is a function of (level, path, text), and " + shown(value) + " is none",
                           "log_file=… writes to a file");
      running_.log = std::make_shared<LogPump>(py::reinterpret_borrow<py::object>(value));
      config.log = [log = running_.log](int level, std::string_view path, std::string_view line) {
        log->add(level, path, line);
      };
    } else if (option == "trace") {
      if (py::isinstance<TraceOf>(value)) {
        config.trace = value.cast<const TraceOf&>().sink;
      } else {
        config.trace_file = path();
      }
    } else if (option == "report_crashes") {
      config.report_crashes = truth_of(value, "report_crashes");
    } else if (option == "dump") {
      dump_folder = path();
    } else if (option == "dump_only") {
      dumped = string_of(value, option);
    } else if (!node_option(defaults_, option, value)) {
      throw bad_argument("a System has no option \"" + option + "\"",
                         std::string("there are ") + system_options + ", and for its nodes " + node_options);
    }
  }
  if (!dumped.empty() && dump_folder.empty())
    throw bad_argument("dump_only without dump", "dump=… is the folder that tensors are written to");
  if (!dump_folder.empty()) {
    constexpr std::uint64_t most = std::uint64_t{1} << 30;
    config.dump = dump_ = actors::TensorDump::create(dump_folder, most, dumped).value();
    // Its numbers are those of the trace.
    if (!config.trace && config.trace_file.empty()) config.trace = TraceOf().sink;
  }
  running_.system = without_python([&] { return std::make_unique<actors::System>(std::move(config)); });
  machines().open.push_back(this);
}

Machine::~Machine() {
  std::erase(machines().open, this);
  end(std::move(running_));
}

void Machine::close() {
  if (running_.system && UserCode::is_here()) {
    throw Error(actors::Errc::wrong_state, "a program cannot close a System: it would wait for itself",
                "close it where the program was run");
  }
  end(std::move(running_));
  if (const auto dump = std::exchange(dump_, nullptr)) dump->close().value();
}

const actors::System& Machine::system() const {
  if (!running_.system) throw Error(actors::Errc::shut_down, "the System has been closed");
  return *running_.system;
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
      "threads         for actors; 0: as many as the machine has cores\n"
      "log_level       \"off\", \"error\", \"warning\" (by default), \"info\" or \"debug\"\n"
      "log_file        where lines are appended; by default they go to standard error\n"
      "log             instead: a function that is called with (level, path, text)\n"
      "trace           a file that is written when the System ends, or a troupe.Trace\n"
      "report_crashes  True: a thread that crashes says first what it was inside of\n"
      "dump            a folder for the tensors of each kernel, dump_only: of kernels with such names\n\n"
      "The other options are those of its nodes, which node() and pod() may give, too:\n\n"
      "name, platform  \"node0\"; \"a2a3sim\", \"a5sim\", \"opencl\", \"cuda\", or the path of a library\n"
      "chips           how many; first_device: the number of the first\n"
      "sub_workers     threads for host functions\n"
      "own_process     True: each chip in a process of its own\n"
      "remote          chips of other machines instead: addresses of nodes, or dicts with address, "
      "certificate,\n"
      "                key, authority, silence and patience; rejoin: seconds that one may be away\n"
      "credit, max_runs, soft_limit, hard_limit, arena_bytes, abort_grace, restarts, restarts_within\n"
      "                limits; docs/scaling.md\n"
      "placement       where tasks go that are bound to no chip: troupe.earliest_finish, least_loaded,\n"
      "                where_the_data_is (or their names), or a function of (task, chips) that returns one "
      "of the chips\n"
      "models          a file that keeps what the node learns for it\n"
      "recover         False: what was only on a chip that died is not made again\n"
      "checked         True: chips look for kernels that write where they must not\n"
      "device_options  a dict for the platform\n"
      "chip_bootstrap_configs  what each chip comes up with: dicts with comm, buffers, host_inputs, "
      "host_outputs\n\n"
      "close() (or the end of `with`) ends what runs.")
      .def(py::init<const py::kwargs&>())
      .def("node", &node_of, py::keep_alive<0, 1>(),
           "A node, up and ready, as the System's options say; options given here come before them.")
      .def("pod", &pod_of, py::keep_alive<0, 1>(), py::arg("nodes"), py::arg("name") = "pod0",
           py::arg("sub_workers") = 0, py::arg("workers") = py::none(),
           "A worker of nodes: how many, or a list with a dict of options for each. Its tasks are "
           "programs.\n\n"
           "`workers` are further ones, pods themselves: dicts with nodes, workers, name and sub_workers.")
      .def("close", &Machine::close,
           "Ends what runs and returns in bounded time; calls fail with shut_down then.")
      .def_property_readonly(
          "closed", [](const Machine& machine) { return !machine.open(); }, "Whether close() was called.")
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
