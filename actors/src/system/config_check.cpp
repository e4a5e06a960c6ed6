#include "system/config_check.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::actors {
namespace {

static_assert(most_executors <= arenas_of_a_node);
constexpr std::size_t most_threads = 4096;

/// Collects the first thing that is wrong.
class Check {
 public:
  explicit Check(std::string whose) : whose_(std::move(whose)) {}

  template <class T, class Least, class Most>
  Check& number(const char* name, T value, Least least, Most most, const char* hint = "") {
    if (std::cmp_less(value, least) || std::cmp_greater(value, most)) {
      refuse(std::string(name) + " = " + std::to_string(value) + " is not from " + std::to_string(least) +
                 " to " + std::to_string(most),
             hint);
    }
    return *this;
  }
  Check& time(const char* name, std::chrono::nanoseconds value, const char* hint = "") {
    if (value.count() < 0)
      refuse(std::string(name) + " = " + std::to_string(value.count()) + " ns is negative", hint);
    return *this;
  }
  Check& part(const Result<void>& inner) {
    if (!inner && !error_) error_ = inner.error();
    return *this;
  }
  /// Of what is known to people by it, and has a path with it.
  Check& path_part(const char* what, const std::string& name) {
    if (name.empty()) refuse(std::string(what) + " has no name", "errors, traces and logs need one");
    if (name.find('/') != std::string::npos) {
      refuse(std::string(what) + " \"" + name + "\" has a / in its name",
             "it is what stands between the levels in \"pod0/node1\"");
    }
    return *this;
  }
  Check& once(const char* option, const char* what, const std::vector<std::string>& names,
              const char* hint = "") {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
          names.begin() + static_cast<std::ptrdiff_t>(i)) {
        refuse(std::string(option) + ": " + what + " \"" + names[i] + "\" is there twice", hint);
      }
    }
    return *this;
  }
  Check& options(const char* option, const std::vector<std::pair<std::string, std::string>>& given) {
    std::vector<std::string> names;
    for (const auto& [name, value] : given) names.push_back(name);
    return once(option, "the option", names, "which value is meant?");
  }
  /// What a worker of any level has.
  template <class Config>
  Check& limits(const Config& config) {
    number("max_runs", config.max_runs, 1, std::numeric_limits<std::uint32_t>::max(),
           "programs that run at once: with none, no program would ever start");
    number("arena_bytes", config.arena_bytes, runtime::limits::min_arena_bytes,
           std::numeric_limits<std::uint64_t>::max(),
           "memory for the intermediates of a run, per scope depth");
    number("soft_limit", config.soft_limit, 1, std::numeric_limits<std::uint32_t>::max(),
           "unfinished tasks of a program before it has to wait");
    number("hard_limit", config.hard_limit, 1, std::numeric_limits<std::uint32_t>::max(),
           "unfinished tasks of a coroutine before its submits fail");
    if (config.soft_limit > config.hard_limit) {
      refuse("soft_limit = " + std::to_string(config.soft_limit) +
                 " is more than hard_limit = " + std::to_string(config.hard_limit),
             "a program waits from the first on, and fails from the second on");
    }
    return *this;
  }
  Check& bootstrap(std::size_t configs, Count chips) {
    if (configs == 0 || std::cmp_equal(configs, chips)) return *this;
    // In these words alone: tools look for them.
    return part(Error(Errc::bad_argument, "chip_bootstrap_configs length (" + std::to_string(configs) +
                                              ") must equal the number of chips (" + std::to_string(chips) +
                                              ")"));
  }
  Check& remote(bool is, bool own, bool has_factory, std::chrono::nanoseconds rejoin) {
    if (is && (own || has_factory))
      refuse("remote with own_process or a device table",
             "chips of another machine are as that node makes them");
    return time("rejoin", rejoin, "how long a chip that cannot be reached is tried again");
  }
  Check& process(bool own, bool has_factory) {
    if (own && has_factory) {
      refuse("own_process with a device table of this process",
             "a chip in a process of its own loads its platform there: give it a platform instead");
    }
    return *this;
  }
  void refuse(const std::string& what, const char* hint = "") {
    if (!error_) error_ = Error(Errc::bad_argument, whose_ + ": " + what, hint);
  }
  Result<void> done() const {
    if (error_) return *error_;
    return {};
  }

 private:
  std::string whose_;
  std::optional<Error> error_;
};

}  // namespace

Result<void> validate(const SystemConfig& config) {
  return Check("SystemConfig")
      .number("threads", config.threads, 0, most_threads, "0: as many as the machine has cores")
      .number("log_level", config.log_level, 0, 4, "1 errors, 2 warnings, 3 info, 4 debug; 0 nothing")
      .done();
}

Result<void> validate(const NodeConfig& config) {
  Check check(config.name);
  check.path_part("a node", config.name)
      .options("device_options", config.device_options)
      .limits(config)
      .number("chips", config.chips, 0, most_executors)
      .number("sub_workers", config.sub_workers, 0, most_executors)
      .number("first_device", config.first_device, 0, std::numeric_limits<int>::max() - most_executors,
              "the device number of chip 0")
      .process(config.own_process, config.device != nullptr)
      .remote(!config.remote.empty(), config.own_process, config.device != nullptr, config.rejoin);
  std::vector<std::string> hosts;
  for (const auto& node : config.remote) hosts.push_back(node.address);
  check.once("remote", "the node", hosts, "its chips would be counted twice");
  if (!config.remote.empty()) return check.done();
  return check.bootstrap(config.chip_bootstrap_configs.size(), config.chips).done();
}

Result<void> validate(const PodConfig& config) {
  Check check(config.name);
  check.path_part("a pod", config.name).number("sub_workers", config.sub_workers, 0, most_executors);
  if (config.nodes.empty() && config.workers.empty())
    check.refuse("nodes is empty", "a pod runs programs on its nodes; give it one at least");
  std::vector<std::string> names;
  for (const auto& node : config.nodes) {
    check.part(validate(node));
    names.push_back(node.name);
  }
  for (const auto& below : config.workers) {
    if (below) names.push_back(below->name);
  }
  check.once("nodes", "the name", names, "errors and traces tell them apart by it");
  return check.done();
}

Result<void> validate(const ExecutorConfig& config) {
  constexpr auto grace = "how long a task that was given up may go on";
  if (const auto* chip = std::get_if<ChipConfig>(&config)) {
    return Check("chip with device " + std::to_string(chip->device_id))
        .number("device_id", chip->device_id, 0, std::numeric_limits<int>::max())
        .options("options", chip->options)
        .number("credit", chip->credit, 1, std::numeric_limits<std::uint32_t>::max(),
                "runs in flight on the device: with none, no task would ever run")
        .time("abort_grace", chip->abort_grace, grace)
        .process(chip->own_process, chip->device != nullptr)
        .remote(chip->remote != nullptr, chip->own_process, chip->device != nullptr, chip->rejoin)
        .done();
  }
  if (const auto* sub = std::get_if<SubWorkerConfig>(&config)) {
    return Check("sub-worker").time("abort_grace", sub->abort_grace, grace).done();
  }
  const auto& below = std::get<std::shared_ptr<const WorkerConfig>>(config);
  if (!below) return Error(Errc::bad_argument, "a WorkerConfig is null");
  return validate(*below);
}

Result<void> validate(const WorkerConfig& config) {
  Check check(config.name);
  check.path_part("a worker", config.name)
      .limits(config)
      .number("restart.restarts", config.restart.restarts, 0, std::numeric_limits<std::uint32_t>::max(),
              "deaths of a child before it is given up")
      .time("restart.within", config.restart.within, "the time in which deaths are counted");
  std::vector<std::string> names;
  Count chips = 0;
  for (const auto& executor : config.executors) {
    check.part(validate(executor));
    if (std::holds_alternative<ChipConfig>(executor)) ++chips;
    const auto* below = std::get_if<std::shared_ptr<const WorkerConfig>>(&executor);
    if (below != nullptr && *below) names.push_back((*below)->name);
  }
  check.bootstrap(config.chip_bootstrap_configs.size(), chips);
  check.once("executors", "the name", names, "errors and traces tell them apart by it");
  return check.done();
}

Result<void> validate(const RunOptions& options) {
  return Check("program \"" + options.name + "\"")
      .number("priority", options.priority, std::numeric_limits<std::int8_t>::min(),
              std::numeric_limits<std::int8_t>::max(), "the highest goes first; 0 is usual")
      .time("deadline", options.deadline, "a time from the submit on, of up to 292 years; 0 for none")
      .done();
}

}  // namespace troupe::actors
