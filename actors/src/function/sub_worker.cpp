#include "function/function.hpp"

#include "function/function_queue.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/longest_wait.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {

/// From the function thread: there are results to take, count and pass on.
struct FunctionsEnded {};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FunctionsEnded)

namespace troupe::actors {
namespace {

/// An executor, and what only it and its thread say to it.
using SubWorkerSelf = Executor::extend<caf::reacts_to<FunctionsEnded>>;

class SubWorker : public SubWorkerSelf::base {
 public:
  SubWorker(caf::actor_config& actor, std::shared_ptr<Services> services, SubWorkerConfig config,
            std::string title, std::int32_t index, std::uint32_t incarnation, std::string path,
            ResultSink results)
      : SubWorkerSelf::base(actor),
        stay_(services->stay()),
        services_(std::move(services)),
        config_(config),
        title_(std::move(title)),
        path_(std::move(path)),
        index_(index),
        incarnation_(incarnation),
        results_(std::move(results)),
        replies_(this, Error(Errc::shut_down, path_ + " ended before it answered")) {}

  const char* name() const override { return "sub-worker"; }

  behavior_type make_behavior() override {
    end_on_exception(this, replies_, Errc::function_failed, [this] { return path_; });
    queue_ = std::make_shared<FunctionQueue>(
        [self = caf::actor_cast<caf::weak_actor_ptr>(address())] {
          if (auto strong = caf::actor_cast<SubWorkerSelf>(self)) caf::anon_send(strong, FunctionsEnded{});
        },
        services_->recorder(),
        services_->recorder() ? services_->recorder()->sink().lane(path_, "functions") : 0,
        services_->reports_crashes() ? path_ : std::string());
    return {
        [this](Execute& execute) { take(execute); },
        [this](const Cancel& order) { cancel(order); },
        [this](const Describe&) {
          return ExecutorInfo{ExecutorKind::sub_worker, title_, {}, 64, 0};
        },
        [this](const GetStatus&) { return status(); },
        [this](const Why& question) { return why(question); },
        [this](const FunctionsEnded&) { report(queue_->take_results()); },
    };
  }

  void on_exit() override {
    replies_.end();
    queue_->stop();
    results_ = nullptr;
    stay_ = {};
  }

 private:
  void take(Execute& execute) {
    // The thread starts with the first function: most nodes have sub-workers they never use.
    if (!started_ && !services_->deterministic()) {
      std::function<void()> work = [queue = queue_, self = caf::actor_cast<caf::weak_actor_ptr>(address())] {
        try {
          queue->work();
        } catch (...) {
          // Nobody takes from the queue any more: another sub-worker takes its place.
          if (auto strong = caf::actor_cast<SubWorkerSelf>(self)) {
            const Error reason(Errc::function_failed, "its thread ended on an exception: " +
                                                          runtime::text_of(std::current_exception()));
            caf::anon_send(caf::actor_cast<caf::actor>(strong),
                           caf::exit_msg{strong.address(), exit_with(reason)});
          }
        }
      };
      started_ = services_->try_blocking("troupe-sub", work);
      if (!started_) return report(queue_->refuse(execute.requests, no_thread_for("host functions")));
    }
    queue_->push(std::move(execute.requests));
    if (services_->deterministic()) queue_->drain();
  }
  void cancel(const Cancel& order) {
    std::uint64_t inside = 0;
    report(queue_->cancel(order, inside));
    if (inside == 0) return;
    call_after(this, runtime::bounded(config_.abort_grace), [this, inside] { give_up(inside); });
  }
  /// A function cannot be stopped, only left behind with its thread: another sub-worker takes its place.
  void give_up(std::uint64_t inside) {
    const auto name = queue_->still_inside(inside);
    if (name.empty()) return;
    quit(exit_with(Error(Errc::function_failed, "function \"" + name + "\" was given up and does not return",
                         "its thread stays until it does")
                       .inside(path_)));
  }
  void report(std::vector<TaskResult> results) {
    if (results.empty() || !results_) return;
    for (const auto& result : results) ++(result.outcome == Outcome::done ? completed_ : failed_);
    send(results_, Results{index_, incarnation_, std::move(results)});
  }
  std::string why(const Why& question) const {
    auto text = queue_->why(question);
    return text.empty() ? "not on " + title_ : text;
  }
  ExecutorStatus status() const {
    ExecutorStatus status;
    status.name = title_;
    status.state = "up";
    status.queued = queue_->queued();
    status.completed = completed_;
    status.failed = failed_;
    if (auto current = queue_->current(); !current.empty()) {
      status.running = 1;
      status.busy.push_back("function " + current);
    }
    return status;
  }

  Stay stay_;
  std::shared_ptr<Services> services_;
  SubWorkerConfig config_;
  std::string title_, path_;
  std::int32_t index_;
  std::uint32_t incarnation_;
  ResultSink results_;
  Replies replies_;
  std::shared_ptr<FunctionQueue> queue_;
  bool started_ = false;
  std::uint64_t completed_ = 0, failed_ = 0;
};

}  // namespace

Executor spawn_sub_worker(caf::local_actor* parent, std::shared_ptr<Services> services,
                          SubWorkerConfig config, std::string title, std::int32_t index,
                          std::uint32_t incarnation, std::string path, ResultSink results) {
  return parent->spawn<SubWorker>(std::move(services), config, std::move(title), index, incarnation,
                                  std::move(path), std::move(results));
}

}  // namespace troupe::actors
