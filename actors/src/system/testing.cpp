#include "troupe/testing.hpp"

#include <algorithm>
#include <caf/scheduler/test_coordinator.hpp>
#include <optional>
#include <random>

#include "system/core.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/runtime/longest_wait.hpp"

namespace troupe::testing {

using actors::SystemAccess;

struct Simulation::State {
  explicit State(SimulationOptions with) : options(std::move(with)), random(options.seed) {}

  SimulationOptions options;
  std::mt19937_64 random;
  std::shared_ptr<platform::ManualHost> host = std::make_shared<platform::ManualHost>();
  platform::ScriptedChip script;
  std::vector<std::string> kernels;
  std::unique_ptr<System> system;
  actors::SystemCore* core = nullptr;  ///< also while the system ends
  caf::scheduler::test_coordinator* coordinator = nullptr;
  std::unique_ptr<Node> node;

  caf::scheduler::test_coordinator& scheduler() { return *coordinator; }
  std::chrono::nanoseconds caf_now() { return scheduler().clock().current_time.time_since_epoch() - start; }

  bool runnable_now() { return scheduler().has_job() || host->next_due() <= host->now(); }
  void run_one() {
    actors::without_logger();
    if (options.seed == 0) {
      if (!scheduler().try_run_once()) host->step();
      return;
    }
    auto& jobs = scheduler().jobs;
    const bool device = host->next_due() <= host->now();
    const auto choice = random() % (jobs.size() + (device ? 1 : 0));
    if (choice == jobs.size()) {
      host->step();
      return;
    }
    std::rotate(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(choice),
                jobs.begin() + static_cast<std::ptrdiff_t>(choice) + 1);
    scheduler().try_run_once();
  }
  /// Moves both clocks to the next thing that is due; false: nothing is.
  bool jump(std::chrono::nanoseconds limit) {
    auto& timers = scheduler().clock().schedule();
    const auto never = std::chrono::nanoseconds::max();
    const auto timer = timers.empty() ? never : timers.begin()->first.time_since_epoch() - start;
    const auto due = host->next_due();
    const auto device =
        due >= static_cast<std::uint64_t>(never.count()) ? never : std::chrono::nanoseconds(due);
    const auto next = std::min(timer, device);
    if (next > std::min(limit, end_of_time)) return false;
    go_to(next);
    if (device == next) host->step();
    return true;
  }
  /// Nothing is due before `time`; CAF's timers of that very moment fire.
  void go_to(std::chrono::nanoseconds time) {
    scheduler().clock().advance_time(std::max(std::chrono::nanoseconds(0), time - caf_now()));
    const auto at = static_cast<std::uint64_t>(time.count());
    if (at > host->now() && host->next_due() > at) host->advance(at - host->now());
  }

  /// The virtual clocks begin here: 0 means "unset" to CAF.
  static constexpr std::chrono::nanoseconds start = std::chrono::hours(1);
  /// They stand still there, in 192 years: the longest wait that begins then still ends before they overflow.
  static constexpr std::chrono::nanoseconds end_of_time =
      std::chrono::nanoseconds::max() - start - runtime::longest_wait;
};

Simulation::Simulation(SimulationOptions options) : state_(std::make_unique<State>(std::move(options))) {
  SystemConfig config;
  config.deterministic = true;
  config.host = state_->host;
  config.log = state_->options.log;
  config.trace = state_->options.trace;
  state_->system = std::make_unique<System>(config);
  state_->core = &SystemAccess::core(*state_->system);
  state_->coordinator = &dynamic_cast<caf::scheduler::test_coordinator&>(state_->core->actors.scheduler());
  state_->scheduler().clock().current_time = caf::actor_clock::time_point(state_->start);
  state_->core->pumps->set_stepper([this] { return step(); });
}

Simulation::~Simulation() {
  state_->node.reset();
  state_->system.reset();
  // Kernels that hang by script have no thread that keeps them: they go with the test.
  state_->script.release_hung();
  (void)state_->host->sweep_quarantine();
}

System& Simulation::system() { return *state_->system; }
platform::ScriptedChip& Simulation::script() { return state_->script; }

Node& Simulation::node() {
  if (state_->node) return *state_->node;
  const auto& options = state_->options;
  auto config_of = [&](actors::Count first, std::string name) {
    NodeConfig config;
    config.name = std::move(name);
    config.chips = options.chips;
    config.first_device = first;
    config.sub_workers = options.sub_workers;
    config.credit = options.credit;
    config.restart = options.restart;
    config.soft_limit = options.soft_limit;
    config.hard_limit = options.hard_limit;
    config.arena_bytes = options.arena_bytes;
    config.chip_bootstrap_configs = options.chip_bootstrap_configs;
    config.recover = options.recover;
    config.placement = options.placement;
    config.models = options.models;
    config.device = [script = state_->script](int, std::uint32_t) {
      return Result<platform::DeviceApi>(script.api());
    };
    return config;
  };
  if (options.nodes == 0) {
    state_->node = std::make_unique<Node>(state_->system->node(config_of(0, "node0")));
  } else {
    PodConfig pod;
    for (actors::Count i = 0; i < options.nodes; ++i)
      pod.nodes.push_back(config_of(i * options.chips, "node" + std::to_string(i)));
    state_->node = std::make_unique<Node>(state_->system->pod(pod));
  }
  for (const auto& name : state_->kernels) state_->node->add_kernel(name);
  return *state_->node;
}

Simulation& Simulation::kernel(const std::string& name, platform::ScriptedKernel body) {
  state_->script.on(name, std::move(body));
  if (state_->node) state_->node->add_kernel(name);
  state_->kernels.push_back(name);
  return *this;
}

Simulation& Simulation::fault(const Fault& fault) {
  const auto& value = fault.value();
  if (!value.callable.empty()) check_kernel(value.callable);
  const auto chips = state_->options.chips * std::max<actors::Count>(1, state_->options.nodes);
  if (value.device >= chips) {
    throw Error(actors::Errc::no_such_chip,
                "a fault on chip " + std::to_string(value.device) + " never fires: the simulation has " +
                    std::to_string(chips) + (chips == 1 ? " chip" : " chips"),
                "they are numbered from 0, and on through the nodes of a pod");
  }
  state_->script.inject(value);
  return *this;
}

/// Throws when neither the test nor a module that was loaded has a kernel of that name.
void Simulation::check_kernel(std::string_view kernel) const {
  auto names = state_->kernels;
  if (state_->node) {
    for (auto& name : SystemAccess::core(*state_->node).shared->callables->names()) {
      names.push_back(std::move(name));
    }
  }
  if (std::find(names.begin(), names.end(), kernel) != names.end()) return;
  std::string hint;
  for (const auto& name : names) hint += (hint.empty() ? "there are: " : ", ") + name;
  throw Error(actors::Errc::unknown_callable,
              "nothing in the simulation is called \"" + std::string(kernel) + "\"",
              hint.empty() ? "there is nothing yet: call kernel(…) first" : hint);
}

bool Simulation::step() {
  if (state_->runnable_now()) {
    state_->run_one();
    return true;
  }
  return state_->jump(std::chrono::nanoseconds::max());
}

std::size_t Simulation::steps(std::size_t most) {
  std::size_t made = 0;
  while (made < most && state_->runnable_now()) {
    state_->run_one();
    ++made;
  }
  return made;
}

void Simulation::advance(runtime::Nanoseconds time) {
  const auto left = State::end_of_time - now();
  const auto until = time < left ? now() + time : State::end_of_time;
  do {
    while (state_->runnable_now()) state_->run_one();
  } while (state_->jump(until));
  state_->go_to(until);
}

std::chrono::nanoseconds Simulation::now() const { return state_->caf_now(); }

void kill(const Node& node, int chip) {
  auto& core = SystemAccess::core(node);
  auto pump = core.shared->pumps->take();
  std::optional<Error> problem;
  pump->request(core.get(), caf::infinite, actors::ChipOf{chip})
      .receive(
          [&](Result<actors::ChipAccess>& access) {
            if (access) {
              caf::anon_send_exit(access->chip, caf::exit_reason::kill);
            } else if (access.error() != actors::Errc::chip_lost) {
              problem = access.error();  // one that is dead already is as good as killed
            }
          },
          [&](const caf::error&) { problem = Error(actors::Errc::shut_down, node.name() + " has gone"); });
  if (problem) throw *problem;
}

void Simulation::kill(int chip) { testing::kill(node(), chip); }

std::size_t Simulation::sweep_quarantine() { return state_->host->sweep_quarantine(); }

std::vector<Ran> Simulation::ran() const {
  std::vector<Ran> list;
  for (const auto& event : state_->script.history())
    list.push_back({event.device, event.callable, event.code});
  return list;
}
std::size_t Simulation::ran_on(int chip) const {
  const auto chips = state_->options.chips * std::max<actors::Count>(1, state_->options.nodes);
  std::size_t count = 0;
  for (const auto& one : ran()) count += one.chip == chip && one.code == 0 ? 1 : 0;
  // Others may have been added since, and have run something.
  if (count == 0 && (chip < 0 || chip >= chips)) {
    throw Error(actors::Errc::no_such_chip, "the simulation has no chip " + std::to_string(chip));
  }
  return count;
}
std::size_t Simulation::ran(std::string_view kernel) const {
  check_kernel(kernel);
  std::size_t count = 0;
  for (const auto& one : ran()) count += one.kernel == kernel && one.code == 0 ? 1 : 0;
  return count;
}
std::size_t Simulation::tried(std::string_view kernel) const {
  check_kernel(kernel);
  std::size_t count = 0;
  for (const auto& one : ran()) count += one.kernel == kernel ? 1 : 0;
  return count;
}
std::string Simulation::order() const {
  std::string text;
  for (const auto& one : ran()) {
    if (one.code == 0) text += (text.empty() ? "" : " ") + one.kernel;
  }
  return text;
}
std::size_t Simulation::actors() const { return state_->system->actors(); }
std::string Simulation::replay() const {
  return "replay with TROUPE_SEED=" + std::to_string(state_->options.seed);
}

}  // namespace troupe::testing
