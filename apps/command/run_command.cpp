#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <system_error>

#include "command/attendance.hpp"
#include "command/commands.hpp"
#include "command/interrupts.hpp"
#include "command/packed_program.hpp"
#include "command/program.hpp"
#include "command/progress.hpp"
#include "command/python_program.hpp"
#include "errc.hpp"
#include "nodes/built_in_file.hpp"
#include "nodes/ranks.hpp"
#include "trace/analysis.hpp"
#include "trace/files.hpp"
#include "trace/graph.hpp"
#include "troupe/actors/system.hpp"
#include "troupe/actors/tensor_dump.hpp"
#include "troupe/actors/trace_sink.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/platform/nodes.hpp"

namespace troupe::apps {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t nanos_since_boot() { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); }

/// A program of a module, bound to its scalars; throws what its own binding throws.
actors::BoundProgram bound(const ProgramChoice& choice) {
  actors::BoundProgram program;
  actors::Arguments arguments;
  arguments.scalars = choice.scalars;
  char text[1024] = "";
  troupe_program_call_v1 call{};
  call.size = sizeof call;
  call.orchestrator = &program;
  call.arguments = &arguments;
  call.error_text = text;
  call.error_text_size = sizeof text;
  if (choice.callable.descriptor->invoke.program(&call) != TROUPE_DONE) {
    throw Error(Errc::bad_parameter,
                "program \"" + std::string(choice.callable.name()) + "\" did not start: " + text);
  }
  program.name = choice.callable.name();
  return program;
}

/// What is to be run, wherever it comes from.
struct ToRun {
  std::string title;
  const Example* example = nullptr;
  std::function<void(const actors::Node&)> load;
  std::function<actors::BoundProgram()> bind;
  std::shared_ptr<const PackedProgram> packed;  ///< null: a program of a module
};

bool comes_as_bytes(const RunCommand& command) {
  return command.program.ends_with(".tplan") || command.program.ends_with(".bin") ||
         !command.tensors.empty() || !command.scalars.empty();
}

/// In a file, which the processes of chips can load, too.
Result<runtime::Module> open_built_in() {
  const auto file = built_in_file();
  if (!file.empty()) return runtime::Module::open(file);
  return Error(Errc::cannot_read, "the module of the built-in programs is not there",
               "install troupe as a whole");
}

/// This program's own, or its copy in a file, which the processes of chips can load, too.
Result<runtime::Module> built_in_module(const RunCommand& command) {
  if (!command.isolate && command.hosts.empty()) return runtime::this_module();
  return open_built_in();
}

/// Where the kernels of a plan are: what the user says, else what is built in, as for the one who recorded
/// it.
Result<std::vector<runtime::Module>> modules_for_plan(const RunCommand& command) {
  std::vector<runtime::Module> modules;
  for (const auto& file : command.modules) {
    auto module = runtime::Module::open(module_path(file));
    if (!module) return module.error();
    modules.push_back(*std::move(module));
  }
  if (!modules.empty()) return modules;
  auto built_in = open_built_in();
  if (!built_in) return built_in.error();
  modules.push_back(*std::move(built_in));
  return modules;
}

Result<ToRun> find_what_to_run(const RunCommand& command) {
  ToRun run;
  if (comes_as_bytes(command)) {
    if (command.nodes != 0 || !command.parameters.empty()) {
      return Error(Errc::bad_parameter, "\"" + command.program + "\" is run as one task on one node",
                   "leave --nodes and --param away; its arguments are --tensor and --scalar");
    }
    auto from = PackedProgram::from(command.program, command.tensors, command.scalars);
    if (!from) return from.error();
    const auto packed = std::make_shared<PackedProgram>(*std::move(from));
    std::vector<runtime::Module> modules;
    if (packed->is_plan()) {
      auto found = modules_for_plan(command);
      if (!found) return found.error();
      modules = *std::move(found);
    }
    run.packed = packed;
    run.title = packed->name();
    run.load = [packed, modules](const actors::Node& node) {
      for (const auto& module : modules) node.load(module);
      packed->load(node);
    };
    run.bind = [packed = run.packed] { return packed->bind(); };
    return run;
  }
  const auto built_in = built_in_module(command);
  if (!built_in) return built_in.error();
  auto choice = choose_program(command.program, *built_in, command.parameters);
  if (!choice) return choice.error();
  run.title = std::string(choice->callable.name());
  run.example = choice->example;
  run.load = [module = choice->module](const actors::Node& node) { node.load(module); };
  run.bind = [choice = *choice] { return bound(choice); };
  return run;
}

/// The node (`nodes` 0), or the pod of nodes, that was asked for.
struct Machine {
  std::string platform;
  int nodes = 0, chips = 1;
  bool checked = false, isolate = false;
  std::vector<platform::RemoteNode> hosts = {};
  std::chrono::seconds rejoin{60};
  actors::PlacementPolicy placement = {};
  std::string models = {};
};

actors::PlacementPolicy policy_called(const std::string& name) {
  if (name == "least_loaded") return actors::least_loaded;
  if (name == "where_the_data_is") return actors::where_the_data_is;
  if (name == "earliest_finish") return actors::earliest_finish;
  return {};
}

platform::RemoteNode node_at(const std::string& address, const RunCommand& command) {
  platform::RemoteNode node;
  node.address = address;
  const auto& files = command.certificates;
  node.credentials = {files.certificate, files.key, files.authority};
  node.silence = std::chrono::milliseconds(command.silence_ms);
  return node;
}

/// --hosts by their addresses; those of a folder once they are there.
Result<std::vector<std::string>> find_hosts(const RunCommand& command, Progress& progress) {
  const auto asks = [&](const std::string& address, std::chrono::nanoseconds patience) -> Result<void> {
    auto node = node_at(address, command);
    node.patience = patience;
    const auto facts = platform::describe_node(node);
    if (!facts) return facts.error();
    return {};
  };
  return hosts_found(command.hosts, asks, [&](const std::string& text) { progress.say("troupe: " + text); });
}

/// Those of --hosts: one node of all their chips, or for a program of a pod one node each.
Result<Machine> machine_elsewhere(const RunCommand& command, const ToRun& choice) {
  Machine machine{command.platform, 0, 0, command.checked, false};
  if (command.nodes != 0 || (choice.example != nullptr && choice.example->nodes != 0)) {
    machine.nodes = static_cast<int>(command.hosts.size());
    if (command.nodes != 0 && command.nodes != machine.nodes) {
      return Error(
          Errc::bad_parameter,
          "--nodes " + std::to_string(command.nodes) + ", but " + plural(command.hosts.size(), "host"),
          "a pod has one node on each host");
    }
  }
  machine.rejoin = std::chrono::seconds(command.rejoin_seconds);
  for (const auto& address : command.hosts) {
    if (std::ranges::count(command.hosts, address) > 1) {
      return Error(Errc::bad_parameter, "--hosts names " + address + " more than once",
                   "all chips of a host belong to one program");
    }
    machine.hosts.push_back(node_at(address, command));
  }
  return machine;
}

Result<Machine> machine_here(const RunCommand& command, const ToRun& choice) {
  Machine machine{command.platform, command.nodes, command.chips, command.checked, command.isolate};
  const Example* example = choice.example;
  if (machine.nodes == 0 && example != nullptr) machine.nodes = example->nodes;
  if (machine.chips == 0) machine.chips = example != nullptr ? example->chips : 1;
  constexpr int most = actors::most_executors;
  if (const int chips = machine.nodes * machine.chips; chips > most) {
    return Error(Errc::bad_parameter,
                 std::to_string(machine.nodes) + " nodes of " + std::to_string(machine.chips) +
                     " chips are " + std::to_string(chips) + " chips, and one process takes up to " +
                     std::to_string(most),
                 "use fewer --nodes or --chips");
  }
  return machine;
}

/// What can be said of the options before it is known where the nodes are, for which may be waited.
Result<void> fit_together(const RunCommand& command, const ToRun& choice) {
  if (!command.hosts.empty() && (command.chips != 0 || command.isolate)) {
    return Error(Errc::bad_parameter, "--chips and --isolate are about chips of this machine",
                 "`troupe node --chips N` says how many a host has, each in a process of its own");
  }
  if (!command.models.empty() && command.placement.empty()) {
    return Error(Errc::bad_parameter, "--models says where to keep what is learned, and nothing learns",
                 "say which placement is to use it: --placement earliest_finish");
  }
  if (!command.models.empty() &&
      (command.nodes != 0 || (choice.example != nullptr && choice.example->nodes != 0))) {
    return Error(Errc::bad_parameter, "--models is for a single node: those of a pod would write one file");
  }
  return {};
}

Result<Machine> machine_for(const RunCommand& command, const ToRun& choice) {
  auto machine = command.hosts.empty() ? machine_here(command, choice) : machine_elsewhere(command, choice);
  if (!machine) return machine;
  machine->placement = policy_called(command.placement);
  machine->models = command.models;
  return machine;
}

actors::Node bring_up(const actors::System& system, const Machine& machine) {
  actors::NodeConfig node;
  node.placement = machine.placement;
  node.models = machine.models;
  node.platform = machine.platform;
  node.chips = machine.chips;
  node.own_process = machine.isolate;
  if (machine.checked) node.device_options.emplace_back("checked", "1");
  node.remote = machine.hosts;
  node.rejoin = machine.rejoin;
  if (machine.nodes == 0) return system.node(node);
  actors::PodConfig pod;
  for (int i = 0; i < machine.nodes; ++i) {
    node.name = "node" + std::to_string(i);
    if (!machine.hosts.empty()) node.remote = {machine.hosts[static_cast<std::size_t>(i)]};
    pod.nodes.push_back(node);
  }
  return system.pod(pod);
}

/// What was waiting for what when a run failed, on one screen.
void tell_who_waited(const actors::RunReport& report, bool draw, Progress& progress) {
  constexpr std::size_t shown = 12;
  const auto more = [](std::uint64_t all, std::size_t told) {
    return all > told ? " and " + std::to_string(all - told) + " more" : std::string();
  };
  if (!report.waiting.empty()) {
    progress.say("  " + plural(report.unfinished, "task") + " had not ended:");
    for (std::size_t i = 0; i < report.waiting.size() && i < shown; ++i) {
      progress.say("    " + report.waiting[i]);
    }
    if (report.unfinished > shown) progress.say("   " + more(report.unfinished, shown));
  } else if (!report.poisoned.empty()) {
    std::string names;
    const std::size_t told = std::min(shown, report.poisoned.size());
    for (std::size_t i = 0; i < told; ++i) names += (i == 0 ? " " : ", ") + report.poisoned[i];
    progress.say("  not run because of it:" + names + more(report.all_poisoned, told));
  } else {
    return;
  }
  if (draw) progress.say("  hint: --graph FILE.dot draws what depends on what");
}

Result<void> can_write_outputs(const RunCommand& command) {
  if (!command.graph.empty()) {
    if (auto kind = graph_kind(command.graph); !kind) return kind.error();
  }
  const std::string outputs[] = {command.trace, command.graph, command.swimlane, command.tensor_dump};
  for (const auto& file : outputs) {
    if (file.empty()) continue;
    if (std::ranges::count(outputs, file) > 1) {
      return Error(Errc::cannot_write, "two outputs cannot both be written to \"" + file + "\"",
                   "name a file for each");
    }
    if (&file == &outputs[3]) continue;  // a folder, which is made below
    if (auto fine = can_write(file); !fine) return fine;
  }
  return {};
}

/// Writes what was asked for; the first problem is told and answered.
Result<void> write_outputs(const RunCommand& command, const actors::TraceSink& sink) {
  const actors::Trace trace = sink.snapshot();
  if (!command.trace.empty()) {
    if (auto written = actors::write_chrome_trace(trace, command.trace); !written) return written;
  }
  if (!command.graph.empty()) {
    if (auto written = write_graph_file(trace, command.graph); !written) return written;
  }
  if (!command.swimlane.empty()) {
    if (auto written = write_swimlane_file(trace, command.swimlane); !written) return written;
  }
  return {};
}

/// A dump's first line says what it is; the others are tensors.
bool has_tensors(const std::string& folder) {
  std::ifstream lines(folder + "/tensors.jsonl");
  std::string line;
  return std::getline(lines, line) && std::getline(lines, line);
}

}  // namespace

int execute(const RunCommand& given, Console& console) {
  Progress progress(console);
  const auto refuse = [&](const Error& error, int answer) {
    progress.say("troupe: " + render(error));
    return answer;
  };
  auto command = given;
  if (!command.modules.empty() && !command.program.ends_with(".tplan")) {
    return refuse(Error(Errc::bad_parameter, "--module says where the kernels of a FILE.tplan are",
                        "\"" + command.program + "\" brings its own: leave --module away"),
                  exit_usage);
  }
  if (names_python_program(command.program)) {
    if (const auto writable = can_write_outputs(command); !writable)
      return refuse(writable.error(), exit_cannot_start);
    auto hosts = find_hosts(command, progress);
    if (!hosts) return refuse(hosts.error(), exit_cannot_start);
    command.hosts = *std::move(hosts);
    const auto error = run_python_program(command, console.log_level);
    return refuse(error, error == Errc::bad_parameter ? exit_usage : exit_cannot_start);
  }
  const auto choice = find_what_to_run(command);
  if (!choice) {
    return refuse(choice.error(), choice.error() == Errc::bad_parameter ? exit_usage : exit_cannot_start);
  }
  if (const auto fit = fit_together(command, *choice); !fit) return refuse(fit.error(), exit_usage);
  // What can be known to fail is told before the nodes are waited for, and the run, which may be long.
  if (const auto writable = can_write_outputs(command); !writable) {
    return refuse(writable.error(), exit_cannot_start);
  }
  auto hosts = find_hosts(command, progress);
  if (!hosts) return refuse(hosts.error(), exit_cannot_start);
  command.hosts = *std::move(hosts);
  const auto made = machine_for(command, *choice);
  if (!made) return refuse(made.error(), exit_usage);
  const Machine& machine = *made;
  if (machine.hosts.empty()) {
    const auto platform = platform::DeviceLibrary::open(command.platform);
    if (!platform) return refuse(platform.error(), exit_cannot_start);
  }
  actors::SystemConfig config;
  config.log_level = console.log_level;
  config.report_crashes = true;
  if (!command.trace.empty() || !command.graph.empty() || !command.swimlane.empty() ||
      !command.tensor_dump.empty()) {
    config.trace =
        std::make_shared<actors::TraceSink>(actors::TraceSink::Options{.epoch = nanos_since_boot()});
    config.trace->describe("program", choice->title);
    config.trace->describe("platform", command.platform);
  }
  if (!command.tensor_dump.empty()) {
    auto dump = actors::TensorDump::create(command.tensor_dump, std::uint64_t{1} << 30, command.dumped);
    if (!dump) return refuse(dump.error(), exit_cannot_start);
    config.dump = *std::move(dump);
  }

  config.at_crash = [command, trace = config.trace] {
    if (!trace) return;
    const auto written = write_outputs(command, *trace);
    (void)std::fputs(written ? "  what was recorded up to there has been written\n"
                             : ("troupe: " + render(written.error()) + "\n").c_str(),
                     stderr);
  };

  int answer = exit_ok;
  const std::string& title = choice->title;
  Interrupts interrupts;
  try {
    actors::System system(config);
    const actors::Node node = [&] {
      const EndAtOnce listening(interrupts, title + ": cancelled before it began");
      actors::Node up = bring_up(system, machine);
      choice->load(up);
      return up;
    }();
    std::int64_t least = INT64_MAX, total = 0;
    for (int run = 0; run < command.runs && answer == exit_ok; ++run) {
      const auto begin = Clock::now();
      actors::RunOptions options;
      options.name = title;
      Attendance attendance(node, interrupts, console, progress, command.timeout_seconds);
      const actors::Handle handle = node.submit_bound(options, choice->bind());
      const std::string part =
          command.runs == 1 ? "" : " " + std::to_string(run + 1) + "/" + std::to_string(command.runs);
      const Ended ended = attendance.wait_for_end(handle, title + part);
      const std::int64_t took = std::chrono::nanoseconds(Clock::now() - begin).count();
      least = std::min(least, took);
      total += took;
      if (ended != Ended::by_itself) {
        answer = ended == Ended::interrupted ? exit_interrupted : exit_out_of_time;
        break;  // its report may never come
      }
      const actors::RunReport report = handle.report();
      if (report.error) {
        const bool refused = report.error->root() == Errc::bad_parameter;  // an example does not take it
        answer = refuse(*report.error, refused ? exit_usage : exit_failed);
        tell_who_waited(report, command.graph.empty(), progress);
      } else if (command.runs == 1) {
        progress.say(title + ": " + plural(report.tasks + report.inside, "task") + " in " +
                     render_time(took));
      }
    }
    if (answer == exit_ok && command.runs > 1) {
      progress.say(title + ": " + plural(static_cast<std::uint64_t>(command.runs), "run") + ", fastest " +
                   render_time(least) + ", mean " + render_time(total / command.runs));
    }
    if (answer == exit_ok && choice->packed) {
      if (const auto shown = choice->packed->show(console.out); !shown)
        answer = refuse(shown.error(), exit_cannot_start);
    }
    interrupts.let_go();  // what is left (ending the system, writing files) may simply be cut off
  } catch (const Error& error) {
    interrupts.let_go();
    // Bring-up, load: no run began.
    answer = refuse(error, error == Errc::bad_parameter ? exit_usage : exit_cannot_start);
  }
  // The system has ended: nothing records any more.
  if (config.trace) {
    const auto written = write_outputs(command, *config.trace);
    if (!written) return refuse(written.error(), answer == exit_ok ? exit_cannot_start : answer);
  }
  if (config.dump) {
    const auto closed = config.dump->close();
    if (!closed) return refuse(closed.error(), answer == exit_ok ? exit_cannot_start : answer);
    if (answer == exit_ok && !has_tensors(command.tensor_dump)) {
      progress.say(
          "warning: no tensor was dumped: no kernel fits, or the platform has no dumps (opencl and cuda)");
    }
  }
  return answer;
}

}  // namespace troupe::apps
