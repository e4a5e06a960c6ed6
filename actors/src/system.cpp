#include "troupe/actors/system.hpp"

#include <cstdlib>

#include "system_core.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/own_actors.hpp"
#include "worker_actor.hpp"

namespace troupe::actors {
namespace {

/// How long the end of a system waits for threads inside user code before it leaves them behind.
constexpr auto patience = std::chrono::seconds(3);

/// "--chips 4" and "--chips=4".
std::optional<std::string> option(int argc, char** argv, std::string_view name) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == name && i + 1 < argc) return argv[i + 1];
    if (arg.size() > name.size() && arg.substr(0, name.size()) == name && arg[name.size()] == '=') {
      return std::string(arg.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

int number(const std::string& text, std::string_view name, int least) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < least || value > 100000) {
    throw Error(Errc::bad_argument,
                std::string(name) + " " + text + ": not a number from " + std::to_string(least) + " on");
  }
  return static_cast<int>(value);
}

SystemConfig system_config(int argc, char** argv) {
  SystemConfig config;
  if (auto threads = option(argc, argv, "--threads")) {
    config.threads = static_cast<std::size_t>(number(*threads, "--threads", 0));
  }
  if (auto level = option(argc, argv, "--log-level")) config.log_level = number(*level, "--log-level", 0);
  if (auto file = option(argc, argv, "--log-file")) config.log_file = *file;
  return config;
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
  for (int i = 0; i < config.chips; ++i) {
    ChipConfig chip;
    chip.platform = config.platform;
    chip.device_id = config.first_device + i;
    chip.credit = config.credit;
    chip.abort_grace = config.abort_grace;
    chip.options = config.device_options;
    if (config.device) {
      chip.device = [make = config.device, i](std::uint32_t incarnation) { return make(i, incarnation); };
    }
    worker->executors.emplace_back(std::move(chip));
  }
  for (int i = 0; i < config.sub_workers; ++i)
    worker->executors.emplace_back(SubWorkerConfig{config.abort_grace});
  return worker;
}

std::shared_ptr<const WorkerConfig> to_worker(const PodConfig& config) {
  auto worker = std::make_shared<WorkerConfig>();
  worker->name = config.name;
  for (const auto& node : config.nodes) worker->executors.emplace_back(to_worker(node));
  for (const auto& below : config.workers) worker->executors.emplace_back(below);
  for (int i = 0; i < config.sub_workers; ++i) worker->executors.emplace_back(SubWorkerConfig{});
  return worker;
}

SystemCore::SystemCore(const SystemConfig& with)
    : config(with),
      services(std::make_shared<Services>(with)),
      caf_config(with.deterministic, with.threads),
      actors(caf_config),
      pumps(std::make_shared<PumpPool>(actors)) {
  services->attach(actors);
}

SystemCore::~SystemCore() { services->detach(); }

void SystemCore::step_until(const std::function<bool()>& done) const {
  while (!done()) {
    if (!pumps->step()) {
      throw Error(Errc::deadlock, "nothing is runnable and no timer is set, but a caller waits");
    }
  }
}

System::System(SystemConfig config) : core_(std::make_unique<SystemCore>(config)) {}

System::System(int argc, char** argv) : System(system_config(argc, argv)) {
  if (auto platform = option(argc, argv, "--platform")) core_->defaults.platform = *platform;
  if (auto chips = option(argc, argv, "--chips")) core_->defaults.chips = number(*chips, "--chips", 0);
}

System::~System() {
  std::vector<std::shared_ptr<NodeCore>> nodes;
  {
    std::lock_guard guard(core_->mutex);
    nodes.swap(core_->nodes);
  }
  {
    auto pump = core_->pumps->take();
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
      node->shared->pumps = nullptr;
    }
  }
  if (core_->config.deterministic) {
    while (core_->pumps->step()) {
    }
  }
  if (!core_->services->wait_until_idle(patience)) {
    // A thread inside user code may come back and use all of this: it stays, for good.
    core_->services->log(1, "system", "left behind: a host function, program or kernel that does not return");
    (void)core_.release();
  }
}

Node System::worker(std::shared_ptr<const WorkerConfig> config) const {
  auto node = std::make_shared<NodeCore>();
  node->shared = make_shared_of(*config, core_->services, core_->pumps, nullptr);
  node->worker = spawn_worker(core_->actors, core_->services, config, node->shared, 0, ResultSink{});
  {
    std::lock_guard guard(core_->mutex);
    core_->nodes.push_back(node);
  }
  Result<bool> up = true;
  auto pump = core_->pumps->take();
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
  node->shared->pumps = nullptr;
  throw up.error();
}

Node System::node(const NodeConfig& config) const {
  if (config.chips < 0 || config.sub_workers < 0) {
    throw Error(Errc::bad_argument, "a node has no negative number of chips or sub-workers");
  }
  if (!config.chip_bootstrap_configs.empty() &&
      config.chip_bootstrap_configs.size() != static_cast<std::size_t>(config.chips)) {
    throw Error(Errc::bad_argument,
                "chip_bootstrap_configs length (" + std::to_string(config.chip_bootstrap_configs.size()) +
                    ") must equal the number of chips (" + std::to_string(config.chips) + ")");
  }
  return worker(to_worker(config));
}
Node System::node() const { return node(core_->defaults); }
Node System::pod(const PodConfig& config) const { return worker(to_worker(config)); }

caf::actor_system& actor_system(const System& system) { return SystemAccess::core(system).actors; }
Worker worker(const Node& node) { return SystemAccess::core(node).get(); }

std::size_t System::actors() const { return core_->actors.registry().running(); }

}  // namespace troupe::actors
