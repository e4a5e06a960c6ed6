#include "troupe/actors/system.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <system_error>
#include <variant>

#include "placement/placement.hpp"
#include "system/command_line.hpp"
#include "system/config_check.hpp"
#include "system/core.hpp"
#include "trace/trace.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/own_actors.hpp"
#include "troupe/actors/trace_sink.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "worker/worker.hpp"

namespace troupe::actors {
namespace {

/// How long the end of a system waits for threads inside user code before it leaves them behind.
constexpr auto patience = std::chrono::seconds(3);

/// With a sink where only a file was named. The file is written now, with nothing in it: what cannot be
/// written is told before the work, and a process that is killed leaves a trace that can be opened.
SystemConfig with_trace(SystemConfig config) {
  if (config.trace_file.empty()) return config;
  write_chrome_trace(Trace{}, config.trace_file).value();
  if (config.trace) return config;
  TraceSink::Options options;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  if (config.host) {
    options.epoch = static_cast<std::int64_t>(config.host->now());
  } else if (!config.deterministic) {
    options.epoch = std::chrono::nanoseconds(now).count();
  }
  config.trace = std::make_shared<TraceSink>(options);
  return config;
}

}  // namespace

namespace {

ChipConfig plain_chip(const NodeConfig& config) {
  ChipConfig chip;
  chip.platform = config.platform;
  chip.credit = config.credit;
  chip.abort_grace = config.abort_grace;
  chip.options = config.device_options;
  chip.own_process = config.own_process;
  return chip;
}

/// Those of all nodes elsewhere, numbered through. They are one program's, so they have one number.
std::vector<ChipConfig> remote_chips(const NodeConfig& config) {
  std::vector<ChipConfig> chips;
  const auto pod = platform::new_pod_number();
  for (const auto& node : config.remote) {
    const auto facts = platform::describe_node(node);
    if (!facts) throw Error(Errc::bootstrap_failed, facts.error().message(), facts.error().hint());
    for (int i = 0; i < facts->chips; ++i) {
      auto& chip = chips.emplace_back(plain_chip(config));
      chip.platform = facts->platform;
      chip.remote = std::make_shared<platform::RemoteChip>(platform::RemoteChip{node, i, pod, {}});
      chip.rejoin = config.rejoin;
    }
  }
  return chips;
}

/// However it is named.
std::string place_of(const std::string& file) {
  std::error_code problem;
  const auto place = std::filesystem::weakly_canonical(file, problem);
  return problem ? file : place.string();
}

/// The files in which it and what is below it keep what they learn.
void add_models(const WorkerConfig& config, std::set<std::string>& models) {
  if (!config.models.empty()) models.insert(place_of(config.models));
  for (const auto& executor : config.executors) {
    if (const auto* below = std::get_if<std::shared_ptr<const WorkerConfig>>(&executor))
      add_models(**below, models);
  }
}

std::string learned_in(const NodeConfig& config) {
  if (!config.placement) {
    throw Error(Errc::bad_argument, "models says where a node keeps what it learns, and it learns nothing",
                "say which placement is to use it: .placement = earliest_finish");
  }
  auto learned = read_costs(config.models);
  if (!learned) throw learned.error();
  return *std::move(learned);
}

}  // namespace

std::shared_ptr<const WorkerConfig> to_worker(const NodeConfig& config) {
  auto worker = std::make_shared<WorkerConfig>();
  worker->name = config.name;
  worker->max_runs = config.max_runs;
  worker->restart = config.restart;
  worker->arena_bytes = config.arena_bytes;
  worker->soft_limit = config.soft_limit;
  worker->hard_limit = config.hard_limit;
  worker->chip_bootstrap_configs = config.chip_bootstrap_configs;
  worker->recover = config.recover;
  worker->placement = config.placement;
  worker->models = config.models;
  if (!config.models.empty()) worker->learned = learned_in(config);
  for (auto& chip : remote_chips(config)) worker->executors.emplace_back(std::move(chip));
  // Where a platform has fewer devices than that and they can be shared, so many chips share them. Whoever
  // names devices means those.
  const bool shares = config.first_device == 0 && config.chips > 1 && !config.device &&
                      std::ranges::find(config.device_options, "chips", [](const auto& option) {
                        return option.first;
                      }) == config.device_options.end();
  for (int i = 0; i < (config.remote.empty() ? config.chips : 0); ++i) {
    auto chip = plain_chip(config);
    chip.device_id = config.first_device + i;
    if (shares) chip.options.emplace_back("chips", std::to_string(config.chips));
    if (config.device) {
      chip.device = [make = config.device, i](std::uint32_t incarnation) { return make(i, incarnation); };
    }
    worker->executors.emplace_back(std::move(chip));
  }
  for (Count i = 0; i < config.sub_workers; ++i)
    worker->executors.emplace_back(SubWorkerConfig{config.abort_grace});
  return worker;
}

std::shared_ptr<const WorkerConfig> to_worker(const PodConfig& config) {
  auto worker = std::make_shared<WorkerConfig>();
  worker->name = config.name;
  std::set<std::string> models;
  for (const auto& node : config.nodes) {
    if (!node.models.empty() && !models.insert(place_of(node.models)).second) {
      throw Error(Errc::bad_argument, "two nodes of the pod keep what they learn in \"" + node.models + "\"",
                  "each needs a file of its own");
    }
    worker->executors.emplace_back(to_worker(node));
  }
  for (const auto& below : config.workers) worker->executors.emplace_back(below);
  for (Count i = 0; i < config.sub_workers; ++i) worker->executors.emplace_back(SubWorkerConfig{});
  return worker;
}

SystemCore::SystemCore(const SystemConfig& with)
    : config(with_trace(with)),
      services(std::make_shared<Services>(config)),
      caf_config(with.deterministic, with.threads, services->host()),
      actors(caf_config),
      pumps(std::make_shared<PumpPool>(actors, services)) {
  if (!with.deterministic) {
    const auto there = scheduler_threads(actors);
    if (there == 0) throw no_thread_for("actors: a system needs two, one of them for timers");
    const auto wanted = caf::get_or(caf_config, "scheduler.max-threads", there);
    if (there < wanted) {
      services->warn("system", std::to_string(there) + " of " + std::to_string(wanted) +
                                   " threads for actors could be had: " + comm::threads_hint());
    }
  }
  services->attach(actors);
  try {
    if (config.report_crashes) {
      crash_report.emplace([this](const platform::Crash& crash) { crashed(crash); });
    }
  } catch (...) {
    services->detach();  // what it has of the actors must not outlive them
    throw;
  }
}

void SystemCore::crashed(const platform::Crash& crash) const {
  if (!crash.sentence.empty() && !services->logs_to_terminal()) {
    services->log(1, crash.where.empty() ? "system" : crash.where, crash.sentence);
  }
  if (const auto& recorder = services->recorder()) {
    recorder->mark(crash.where.empty() ? "system" : crash.where, "crashed", crash.sentence);
  }
  if (!config.trace_file.empty()) {
    auto written = write_chrome_trace(config.trace->snapshot(), config.trace_file);
    if (!written) services->log(1, "system", written.error().message());
  }
  if (config.at_crash) config.at_crash();
}

SystemCore::~SystemCore() {
  pumps->close();
  services->detach();
}

void SystemCore::step_until(const std::function<bool()>& done) const {
  while (!done()) {
    if (!pumps->step()) {
      throw Error(Errc::deadlock, "nothing is runnable and no timer is set, but a caller waits");
    }
  }
}

System::System(SystemConfig config) {
  validate(config).value();
  core_ = std::make_unique<SystemCore>(config);
}

System::System(int argc, char** argv, std::initializer_list<std::string_view> own) {
  CommandLine line = read_command_line(argc, argv, {own.begin(), own.size()});
  line.system.report_crashes = true;  // a program of its own, not a guest in somebody's process
  validate(line.system).value();
  core_ = std::make_unique<SystemCore>(line.system);
  core_->defaults = std::move(line.node);
}

System::~System() {
  if (!core_->services->in_own_process()) {
    // A copy in a child of fork: threads, devices and files are the parent's.
    (void)core_.release();
    return;
  }
  std::vector<std::shared_ptr<NodeCore>> nodes;
  {
    std::lock_guard guard(core_->mutex);
    nodes.swap(core_->nodes);
  }
  {
    auto pump = core_->pumps->take();
    // Calls from now on fail, those in progress are answered by the actors that end.
    core_->services->close_gate();
    for (auto& node : nodes) {
      Worker worker;
      {
        std::lock_guard guard(node->mutex);
        worker = std::exchange(node->worker, nullptr);
        node->gone = true;
      }
      if (!worker) continue;
      try {
        pump->request(worker, caf::infinite, StopWorker{}).receive([](bool) {}, [](const caf::error&) {});
      } catch (const Error& error) {
        core_->services->log(1, node->shared->path, error.message());
      }
      caf::anon_send_exit(worker, caf::exit_reason::kill);
      worker = nullptr;
    }
  }
  if (core_->config.deterministic) {
    while (core_->pumps->step()) {
    }
  }
  const bool idle = core_->services->wait_until_idle(patience);
  if (!core_->config.trace_file.empty()) {
    auto written = write_chrome_trace(core_->config.trace->snapshot(), core_->config.trace_file);
    if (!written) core_->services->log(1, "system", written.error().message());
  }
  if (!idle) {
    // A thread inside user code may come back and use all of this: it stays, for good.
    core_->services->log(1, "system", "left behind: a host function, program or kernel that does not return");
    (void)core_.release();
  }
}

Node System::worker(std::shared_ptr<const WorkerConfig> config) const {
  validate(ExecutorConfig(config)).value();
  auto pump = core_->pumps->take();
  auto node = std::make_shared<NodeCore>();
  node->shared = make_shared_of(*config, core_->services, core_->pumps, core_->memory, nullptr);
  add_models(*config, node->models);
  for (const auto& model : node->models) {
    std::lock_guard guard(core_->mutex);
    for (const auto& other : core_->nodes) {
      if (other->gone || other->models.count(model) == 0) continue;
      throw Error(Errc::bad_argument,
                  other->shared->path + " keeps what it learns in \"" + model + "\" already",
                  "each node needs a file of its own");
    }
  }
  node->worker = spawn_worker(core_->actors, core_->services, config, node->shared, 0, ResultSink{});
  {
    std::lock_guard guard(core_->mutex);
    core_->nodes.push_back(node);
  }
  Result<bool> up = true;
  pump->request(node->worker, caf::infinite, StartWorker{})
      .receive([&](Result<bool>& answer) { up = std::move(answer); },
               [&](const caf::error& error) {
                 up = error_from(error,
                                 Error(Errc::bootstrap_failed, config->name + " ended while it was started"));
               });
  if (up) return Node(node);
  std::lock_guard guard(core_->mutex);
  std::erase(core_->nodes, node);
  node->worker = nullptr;
  node->gone = true;
  throw up.error();
}

Node System::node(const NodeConfig& config) const {
  validate(config).value();
  return worker(to_worker(config));
}
Node System::node() const { return node(core_->defaults); }
Node System::pod(const PodConfig& config) const {
  validate(config).value();
  return worker(to_worker(config));
}

caf::actor_system& actor_system(const System& system) { return SystemAccess::core(system).actors; }
Worker worker(const Node& node) { return SystemAccess::core(node).get(); }

std::size_t System::actors() const { return core_->actors.registry().running(); }

}  // namespace troupe::actors
