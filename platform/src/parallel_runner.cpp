#include "troupe/platform/parallel_runner.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <utility>

#include "troupe/platform/child_processes.hpp"

namespace troupe::platform {

namespace {

struct Failure {
  const RunnerJob* job;
  bool timed_out;
};

/// One pass over some of the jobs.
class Round {
 public:
  Round(const RunnerOptions& options, std::vector<const RunnerJob*> jobs)
      : options_(options), jobs_(std::move(jobs)) {}

  std::vector<Failure> run(RunnerSummary& summary) {
    for (const int device : options_.devices) start_next(device);
    children_.run();
    for (; next_ < jobs_.size(); ++next_) summary.not_run.push_back(jobs_[next_]->name);
    summary.skipped.insert(summary.skipped.end(), skipped_.begin(), skipped_.end());
    return std::move(failures_);
  }

 private:
  void start_next(int device) {
    if (next_ == jobs_.size() || (options_.fail_fast && !failures_.empty())) return;
    const auto* job = jobs_[next_++];
    auto said = std::make_shared<std::string>();
    const auto started = children_.start({job->command(device), options_.timeout,
                                          [said](std::string_view line) {
                                            constexpr std::size_t enough = 64 * 1024;
                                            if (said->size() < enough)
                                              *said += "    " + std::string{line} + "\n";
                                          },
                                          [this, job, device, said](const ChildEnd& end) {
                                            tell(*job, device, end, *said);
                                            start_next(device);
                                          }});
    if (!started) {
      const std::string& hint = started.error().hint();
      tell(*job, device, ChildEnd{},
           "    " + started.error().message() + "\n" + (hint.empty() ? "" : "    hint: " + hint + "\n"));
      start_next(device);
    }
  }

  void tell(const RunnerJob& job, int device, const ChildEnd& end, const std::string& said) {
    ++ended_;
    std::array<char, 64> head{}, time{};
    std::snprintf(head.data(), head.size(), "[dev%d] [%zu/%zu] ", device, ended_, jobs_.size());
    std::snprintf(time.data(), time.size(), " (%.1fs)", std::chrono::duration<double>(end.took).count());
    const bool skipped = options_.skip_code != 0 && end.exit_code == options_.skip_code;
    print(std::string{head.data()} +
          (end.success() ? "PASS: "
           : skipped     ? "SKIP: "
                         : "FAIL: ") +
          job.name + time.data());
    if (end.success()) return;
    if (skipped) {
      skipped_.push_back(job.name);
      return print(said.substr(0, said.find_last_not_of('\n') + 1));
    }
    failures_.push_back({&job, end.timed_out});
    print(said + "    " + render(end));
  }

  void print(const std::string& text) const {
    if (options_.print) return options_.print(text);
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }

  const RunnerOptions& options_;
  std::vector<const RunnerJob*> jobs_;
  std::size_t next_ = 0, ended_ = 0;
  std::vector<Failure> failures_;
  std::vector<std::string> skipped_;
  ChildProcesses children_;
};

}  // namespace

RunnerSummary run_in_parallel(const std::vector<RunnerJob>& jobs, const RunnerOptions& options) {
  RunnerSummary summary;
  std::vector<const RunnerJob*> left;
  left.reserve(jobs.size());
  for (const auto& job : jobs) left.push_back(&job);
  std::vector<Failure> failures = Round{options, left}.run(summary);
  std::vector<std::string> failed_once;
  failed_once.reserve(failures.size());
  for (const auto& failure : failures) failed_once.push_back(failure.job->name);
  for (int attempt = 0; attempt < options.retries && !failures.empty() && !options.fail_fast; ++attempt) {
    left.clear();
    for (const auto& failure : failures) left.push_back(failure.job);
    const auto text = "retrying " + std::to_string(left.size()) + " of " + std::to_string(jobs.size());
    if (options.print) {
      options.print(text);
    } else {
      std::printf("%s\n", text.c_str());
    }
    failures = Round{options, left}.run(summary);
  }
  for (const auto& failure : failures) {
    summary.failed.push_back(failure.job->name);
    if (failure.timed_out) summary.timed_out.push_back(failure.job->name);
  }
  for (const auto& name : failed_once) {
    const auto among = [&name](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (!among(summary.failed) && !among(summary.skipped)) {
      summary.flaky.push_back(name);
    }
  }
  summary.passed = jobs.size() - summary.failed.size() - summary.not_run.size() - summary.skipped.size();
  return summary;
}

}  // namespace troupe::platform
