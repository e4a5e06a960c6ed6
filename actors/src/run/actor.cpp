#include "run/run.hpp"

#include <map>

#include "run/deadlines.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/runtime/longest_wait.hpp"

namespace troupe::actors {
namespace {

/// What those hear who still wait for an answer. Made once: every run has it.
const Error& run_has_ended() {
  static const auto* error = new Error(Errc::shut_down, "the run has ended");
  return *error;
}

class RunActor : public Run::base {
 public:
  RunActor(caf::actor_config& config, RunConfig run, Worker worker, ProgramActor asker, bool drives,
           std::shared_ptr<RunOutcome> outcome, std::chrono::nanoseconds deadline)
      : Run::base(config),
        worker_(std::move(worker)),
        watcher_(asker),
        driver_(drives ? std::move(asker) : ProgramActor()),
        begun_(drives),
        outcome_(std::move(outcome)),
        deadline_(deadline),
        state_(std::make_unique<RunState>(std::move(run))),
        replies_(this, run_has_ended()) {}

  const char* name() const override { return "run"; }

  behavior_type make_behavior() override {
    end_on_exception(this, replies_, Errc::shut_down,
                     [this] { return "the run of \"" + state_->config().name + "\""; });
    set_down_handler([this](const caf::down_msg& down) { driver_down(down); });
    if (driver_) monitor(driver_);
    if (deadline_.count() > 0) watch(0, deadline_);
    const auto take_lines = [this](Submit& lines) {
      state_->submit(lines);
      if (lines.await) state_->await(*lines.await);
      flush();
    };
    const auto take_results = [this](RunResults& results) { state_->results(results), flush(); };
    const auto take_end = [this](const ProgramEnded& over) { state_->program_ended(over), flush(); };
    behavior_type all{
        take_lines,
        take_results,
        take_end,
        [this](const Placed& placed) { state_->placed(placed), flush(); },
        [this](const ReadDone& read) { state_->read_done(read.task), flush(); },
        [this](const CancelRun& order) { state_->cancel(order.reason), not_begun(), flush(); },
        [this](const SetDriver& set) {
          if (driver_) demonitor(driver_.address());
          driver_ = set.driver;
          monitor(driver_);
          begun_ = true;
          send(driver_, Credit{0});
          return true;
        },
        [this](const OpenDomain& open) { open_domain(open); },
        [this](const ReleaseDomain& release) { send(worker_, release); },
        [this](const EnterBarrier& enter) { enter_barrier(enter); },
        [this](const Why& question) { return why(question.task); },
    };
    return hot_first(this, std::move(all), take_lines, take_results, take_end);
  }

  void on_exit() override {
    replies_.end();
    const bool as_it_should = outcome_->done() && state_->finished();
    const auto ended =
        as_it_should
            ? run_has_ended()
            : Error(Errc::shut_down, "the run of \"" + state_->config().name + "\" was ended from outside");
    if (!as_it_should) {
      RunReport report;
      report.error = ended;
      outcome_->set(std::move(report));
    }
    // Pumps outlive the runs that they drive.
    if (driver_) demonitor(driver_.address());
    if (driver_ && !state_->finished()) send(driver_, StopProgram{ended});
    if (driver_) send(driver_, Wake{.token = run_over_token});
    if (watcher_ && watcher_ != driver_) send(watcher_, Wake{.token = run_over_token});
    watcher_ = nullptr;
    if (worker_) send(worker_, RunClosed{state_->config().id});
    worker_ = nullptr;
    driver_ = nullptr;
    // Who has something to answer keeps this object until then: what is left must be small.
    deadlines_.clear();
    at_barriers_.clear();
    state_->memory().abandon();
    in_use_ = state_->memory_in_use();
    state_ = nullptr;
  }

 private:
  /// A run is tied to the life of its program.
  void driver_down(const caf::down_msg& down) {
    if (!driver_ || driver_.address() != down.source) return;
    driver_ = nullptr;
    const auto title = "program \"" + state_->config().name + "\"";
    const Error ended(Errc::function_failed, title + " ended without a word: its actor has died");
    const auto reason = error_from(down.reason, ended);
    state_->program_lost(reason.message().find(title) != std::string::npos
                             ? reason
                             : Error(reason.code(), title + " died: " + reason.message(), reason.hint()));
    flush();
  }

  /// A program that has not begun when its run is given up never will.
  void not_begun() {
    if (!begun_) state_->program_ended({});
  }
  /// Sends what the message that was handled led to.
  void flush() {
    auto effects = state_->advance();
    const auto id = state_->config().id;
    if (!effects.ready.empty())
      send(worker_, Ready{id, effects.report, std::move(effects.ready), effects.seen});
    for (auto& [domain, delta] : effects.domain_holds) send(worker_, HoldDomain{domain, delta});
    for (const auto task : effects.cancels) send(worker_, Cancel{id, task});
    if (effects.cancel_all) send(worker_, Cancel{id, 0});
    for (auto& [task, after] : effects.deadlines) watch(task, after);
    if (effects.stop_program && driver_) send(driver_, StopProgram{*std::move(effects.stop_program)});
    if (effects.credit > 0 && driver_) send(driver_, Credit{effects.credit});
    for (auto& wake : effects.wakes) {
      if (driver_) send(driver_, std::move(wake));
    }
    for (const auto task : effects.reads) bring_for_read(task);
    if (effects.finished) bring_back(*std::move(effects.finished));
  }

  void bring_for_read(TaskNumber task) {
    const Error gone(Errc::shut_down, "the node went down while a tensor was read");
    request(worker_, caf::infinite, BringHome{state_->to_read(task)})
        .then(
            [this, task](const Result<bool>& home) {
              state_->read_is_home(task, home ? std::nullopt : std::optional<Error>(home.error()));
              flush();
            },
            [this, task, gone](const caf::error& error) {
              state_->read_is_home(task, error_from(error, gone));
              flush();
            });
  }
  /// All tasks have ended. What is looked at, and memory of the user's, comes home before the run is over.
  void bring_back(RunReport report) {
    auto wanted = state_->memory().wanted_home();
    if (wanted.empty()) return settle(std::move(report));
    struct Last {
      RunReport report;
      std::size_t open = 1;
    };
    const auto last = std::make_shared<Last>(Last{std::move(report)});
    const auto one = [this, last](const std::optional<Error>& error) {
      if (error && !last->report.error) last->report.error = error->inside(state_->config().node);
      if (--last->open == 0) settle(std::move(last->report));
    };
    for (auto& buffer : wanted) {
      ++last->open;
      const Error gone(Errc::shut_down, "the node went down before a tensor was brought back");
      request(worker_, caf::infinite, BringHome{std::move(buffer)})
          .then(
              [one](const Result<bool>& home) {
                one(home ? std::nullopt : std::optional<Error>(home.error()));
              },
              [one, gone](const caf::error& error) { one(error_from(error, gone)); });
    }
    one(std::nullopt);
  }

  /// From then on its buffers are the user's: nothing is made again in its name.
  void settle(RunReport report) {
    auto& memory = state_->memory();
    if (memory.close()) return over(std::move(report));
    settling_ = true;
    request(worker_, caf::infinite, SettleRun{state_->config().id})
        .then([this, report](bool) { settle(report); }, [this, report](const caf::error&) { over(report); });
  }
  void over(RunReport report) {
    auto& memory = state_->memory();
    memory.hand_over();
    report.made_again = memory.remade();
    if (settling_ && !report.error && state_->is_given_up())
      report.error = state_->given_up_for()->inside(state_->config().node);
    outcome_->set(std::move(report));
    quit();
  }

  void watch(TaskNumber task, std::chrono::nanoseconds after) {
    if (after >= runtime::longest_wait) return;
    deadlines_.add(task, clock().now() + after);
    set_timer();
  }
  void set_timer() {
    const auto next = deadlines_.timer([this](TaskNumber task) { return task != 0 && state_->over(task); });
    if (next) call_after(this, *next - clock().now(), [this] { deadline_due(); });
  }
  void deadline_due() {
    for (const auto task : deadlines_.due(clock().now())) {
      state_->deadline_due(task);
      if (task == 0) not_begun();
    }
    flush();
    if (!state_->finished()) set_timer();
  }

  /// Of one task, or (`task` 0) of the oldest ones: what each waits for, and which executor has it.
  caf::typed_response_promise<std::string> why(TaskNumber task) {
    struct Gather {
      std::vector<std::string> lines;
      std::size_t open = 1;
      Reply<std::string> promise;
      void one() {
        if (--open != 0) return;
        std::string text;
        for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
        promise.deliver(std::move(text));
      }
    };
    auto gather = std::make_shared<Gather>();
    gather->promise = replies_.owe<std::string>();
    const auto tasks = task != 0 ? std::vector<TaskNumber>{task} : state_->unfinished(8);
    for (const auto number : tasks)
      gather->lines.push_back(state_->title(number) + ": " + state_->why(number));
    if (task == 0) {
      for (const auto& [token, text] : at_barriers_) gather->lines.push_back(text);
    }
    if (gather->lines.empty()) {
      gather->lines.emplace_back(!begun_ ? "the program waits to begin: `max_runs` others are under way"
                                 : state_->is_given_up()
                                     ? "the run was given up; its program is in code of its own, which is "
                                       "not interrupted"
                                     : "the program is on its way; no task of it is unfinished");
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (!state_->with_node(tasks[i])) continue;
      ++gather->open;
      request(worker_, caf::infinite, Why{state_->config().id, tasks[i]})
          .then(
              [this, gather, i, number = tasks[i]](const std::string& text) {
                gather->lines[i] = state_->title(number) + ": " + text;
                gather->one();
              },
              [gather](const caf::error&) { gather->one(); });
    }
    auto promise = gather->promise;
    gather->one();
    return promise;
  }

  void open_domain(const OpenDomain& open) {
    request(worker_, caf::infinite, AllocateDomain{state_->config().id, open.spec})
        .then(
            [this, token = open.token](Result<DomainInfo>& formed) {
              Wake wake{.token = token};
              if (formed) {
                wake.domain = std::make_shared<const DomainInfo>(*std::move(formed));
              } else {
                wake.error = formed.error().inside(state_->config().node);
              }
              if (driver_) send(driver_, std::move(wake));
            },
            [this, token = open.token](const caf::error&) {
              const Error gone(Errc::shut_down, "the node went down while a domain was formed");
              if (driver_) send(driver_, Wake{.token = token, .error = gone});
            });
  }

  void enter_barrier(const EnterBarrier& enter) {
    at_barriers_[enter.token] = "the program waits at the barrier of domain " + std::to_string(enter.domain) +
                                " as rank " + std::to_string(enter.rank);
    auto wake_driver = [this, token = enter.token](std::optional<Error> error) {
      at_barriers_.erase(token);
      if (error) error = error->inside(state_->config().node);
      if (driver_) send(driver_, Wake{.token = token, .error = std::move(error)});
    };
    request(worker_, caf::infinite, BarrierOf{enter.domain, {enter.epoch, enter.rank, state_->config().id}})
        .then(
            [wake_driver](const Result<std::uint64_t>& met) mutable {
              wake_driver(met ? std::nullopt : std::optional<Error>(met.error()));
            },
            [wake_driver, domain = enter.domain](const caf::error&) mutable {
              wake_driver(Error(comm::Errc::peer_lost, "domain " + std::to_string(domain) + " is over"));
            });
  }

  Worker worker_;
  ProgramActor watcher_;  ///< who asked for the run, when it waits
  ProgramActor driver_;   ///< the program
  bool begun_;            ///< there is, or was, a program
  std::shared_ptr<RunOutcome> outcome_;
  std::chrono::nanoseconds deadline_;
  Deadlines<caf::actor_clock::time_point> deadlines_;
  std::unique_ptr<RunState> state_;          ///< null: the run has ended
  std::shared_ptr<const RunMemory> in_use_;  ///< then, what tasks that nobody waits for any more may work on
  Replies replies_;
  bool settling_ = false;  ///< all tasks have ended, and some run again for bytes that were lost
  std::map<std::uint64_t, std::string> at_barriers_;  ///< by token: what `why` says
};

}  // namespace

Run spawn_run(caf::local_actor* parent, RunConfig config, Worker worker, ProgramActor asker, bool drives,
              std::shared_ptr<RunOutcome> outcome, std::chrono::nanoseconds deadline) {
  return parent->spawn<RunActor>(std::move(config), std::move(worker), std::move(asker), drives,
                                 std::move(outcome), deadline);
}

}  // namespace troupe::actors
