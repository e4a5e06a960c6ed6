#include "system/config_check.hpp"

#include <limits>
#include <string>
#include <utility>

#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

constexpr int most_executors =
    arenas_of_a_node;  // each has an arena; and more come up in minutes, or not at all
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
  check.number("chips", config.chips, 0, most_executors)
      .number("sub_workers", config.sub_workers, 0, most_executors)
      .number("first_device", config.first_device, 0, std::numeric_limits<int>::max() - most_executors,
              "the device number of chip 0");
  const auto& bootstrap = config.chip_bootstrap_configs;
  if (!bootstrap.empty() && std::cmp_not_equal(bootstrap.size(), config.chips)) {
    // In these words alone: tools look for them.
    check.part(Error(Errc::bad_argument,
                     "chip_bootstrap_configs length (" + std::to_string(bootstrap.size()) +
                         ") must equal the number of chips (" + std::to_string(config.chips) + ")"));
  }
  return check.done();
}

Result<void> validate(const PodConfig& config) {
  Check check(config.name);
  check.number("sub_workers", config.sub_workers, 0, most_executors);
  for (const auto& node : config.nodes) check.part(validate(node));
  return check.done();
}

Result<void> validate(const ExecutorConfig& config) {
  constexpr auto grace = "how long a task that was given up may go on";
  if (const auto* chip = std::get_if<ChipConfig>(&config)) {
    return Check("chip with device " + std::to_string(chip->device_id))
        .number("device_id", chip->device_id, 0, std::numeric_limits<int>::max())
        .number("credit", chip->credit, 1, std::numeric_limits<std::uint32_t>::max(),
                "runs in flight on the device: with none, no task would ever run")
        .time("abort_grace", chip->abort_grace, grace)
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
  check
      .number("max_runs", config.max_runs, 1, std::numeric_limits<std::uint32_t>::max(),
              "programs that run at once: with none, no program would ever start")
      .number("soft_limit", config.soft_limit, 1, std::numeric_limits<std::uint32_t>::max(),
              "unfinished tasks of a program before it has to wait")
      .number("hard_limit", config.hard_limit, 1, std::numeric_limits<std::uint32_t>::max(),
              "unfinished tasks of a coroutine before its submits fail")
      .number("restart.restarts", config.restart.restarts, 0, std::numeric_limits<std::uint32_t>::max(),
              "deaths of a child before it is given up")
      .time("restart.within", config.restart.within, "the time in which deaths are counted");
  for (const auto& executor : config.executors) check.part(validate(executor));
  return check.done();
}

Result<void> validate(const RunOptions& options) {
  return Check("program \"" + options.name + "\"")
      .number("priority", options.priority, std::numeric_limits<std::int8_t>::min(),
              std::numeric_limits<std::int8_t>::max(), "the highest goes first; 0 is usual")
      .time("deadline", options.deadline, "a time from the submit on; 0 for none")
      .done();
}

}  // namespace troupe::actors
