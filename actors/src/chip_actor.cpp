#include "chip_actor.hpp"

#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// The news of a device, as messages to its chip actor. Called from the device's threads.
platform::ContextEvents events_for(caf::weak_actor_ptr chip, std::shared_ptr<Services> services,
                                   std::string path, const std::shared_ptr<ChipTracer>& tracer) {
  platform::ContextEvents events;
  if (tracer) {
    events.trace = [tracer](std::span<const troupe_trace_event> news) { tracer->events(news); };
    events.dump = [tracer](const troupe_dump_record& record) { tracer->dump(record); };
  }
  events.complete = [chip](std::span<const troupe_completion> completions) {
    auto strong = caf::actor_cast<Chip>(chip);
    if (!strong) return;
    DeviceDone done;
    done.ends.reserve(completions.size());
    for (const auto& end : completions) {
      done.ends.push_back({end.correlation, end.code, end.message != nullptr ? end.message : "",
                           end.caused_by, end.started_ns, end.finished_ns});
    }
    caf::anon_send(strong, std::move(done));
  };
  events.log = [services = std::move(services), path = std::move(path)](std::int32_t level, std::int32_t,
                                                                        std::string_view text) {
    services->log(level, path, text);
  };
  return events;
}

class ChipActor : public Chip::base {
 public:
  ChipActor(caf::actor_config& config, std::shared_ptr<Services> services, ChipConfig chip,
            ChipIdentity identity, std::string path, ResultSink results)
      : Chip::base(config),
        services_(std::move(services)),
        path_(std::move(path)),
        results_(std::move(results)),
        grace_(chip.abort_grace),
        state_(std::move(chip), std::move(identity), services_->host(),
               services_->recorder() ? std::make_shared<ChipTracer>(services_->recorder(), path_) : nullptr) {
  }

  const char* name() const override { return "chip"; }

  behavior_type make_behavior() override {
    set_exception_handler([this](std::exception_ptr&) -> caf::error {
      return exit_with(Error(Errc::chip_lost, path_ + ": an exception in the chip actor"));
    });
    return {
        [this](Execute& execute) { answer(state_.execute(execute.requests)); },
        [this](const Cancel& order) { cancel(order); },
        [this](const Describe&) { return state_.describe(); },
        [this](const GetStatus&) { return state_.status(); },
        [this](const Why& why) { return state_.why(why); },
        [this](const DeviceDone& ends) { answer(state_.ended(ends)); },
        [this](const DeviceOpened& opened) { adopt(*opened.device); },
        [this](const DeviceClosed& closed) { this->closed(closed); },
        [this](const GiveUp& order) { give_up(order.task); },
        [this](const BringUp&) { return bring_up(); },
        [this](const ResetChip& order) { return reset(order.incarnation); },
        [this](const FinalizeChip&) { return finalize(); },
        [this](const DeviceMalloc& request) { return state_.malloc(request); },
        [this](const DeviceFree& request) { return state_.free(request); },
        [this](DeviceCopy& piece) { return in_pieces(piece, state_.copy(piece)); },
        [this](StageBuffer& piece) { return in_pieces(piece, state_.stage(piece)); },
        [this](const WindowCreate& request) { return state_.create_window(request); },
        [this](const WindowImport& request) { return state_.import_window(request); },
        [this](const WindowAbort& request) { state_.abort_window(request); },
        [this](const WindowRelease& request) {
          if (auto released = state_.release_window(request); !released) {
            services_->warn(path_, "a window stays until the chip ends: " + released.error().message());
          }
        },
    };
  }

  /// However the actor ends: its context is closed elsewhere, exactly once; then its requests are answered,
  /// because until then the device may write what they write.
  void on_exit() override {
    const Error killed(Errc::chip_lost, path_ + ": the chip ended while it held the task");
    // A promise that is dropped tells nobody.
    if (opening_.pending()) opening_.deliver(Result<ExecutorInfo>(killed));
    for (auto& closing : std::exchange(closings_, {})) {
      if (closing.promise.pending()) closing.promise.deliver(Result<bool>(killed));
    }
    Results last{state_.identity().index, state_.identity().incarnation,
                 state_.abandon(reason_.value_or(killed)), true};
    auto tell = [to = std::exchange(results_, nullptr), last = std::move(last)](const Result<void>&) {
      if (to) caf::anon_send(to, last);
    };
    if (auto context = state_.take_context()) {
      services_->close(*std::move(context), path_, std::move(tell));
    } else {
      tell({});
    }
  }

 private:
  void answer(std::vector<TaskResult> results) {
    answer_only(std::move(results));
    if (state_.device_lost()) die(Error(Errc::chip_lost, path_ + ": the device is lost"));
  }
  void die(const Error& reason) {
    reason_ = reason;
    quit(exit_with(reason));
  }
  void answer_only(std::vector<TaskResult> results) {
    if (results.empty() || !results_) return;
    send(results_, Results{state_.identity().index, state_.identity().incarnation, std::move(results)});
  }

  void cancel(const Cancel& order) {
    answer(state_.cancel(order));
    if (const auto last = state_.asked_to_end()) delayed_send(this, grace_, GiveUp{last});
  }
  void give_up(std::uint64_t upto) {
    if (state_.life() != ChipState::Life::ready) return;  // being closed, which gives up on everything
    if (const auto error = state_.does_not_end(upto)) return die(*error);
    if (const auto last = state_.asked_to_end(); last != 0 && last <= upto) {
      delayed_send(this, grace_, GiveUp{upto});
    }
  }

  // --- opening and closing: on a thread that may block, one at a time --------------------------------------

  caf::typed_response_promise<Result<ExecutorInfo>> bring_up() {
    auto promise = make_response_promise<Result<ExecutorInfo>>();
    auto may = state_.may_bring_up();
    if (may && opening_.pending()) {
      may = Error(Errc::wrong_state, path_ + " is being brought up already");
    }
    if (!may) {
      promise.deliver(Result<ExecutorInfo>(may.error()));
      return promise;
    }
    opening_ = promise;
    const auto self = caf::actor_cast<caf::weak_actor_ptr>(address());
    auto events = events_for(self, services_, path_, state_.tracer());
    services_->run_blocking(
        "troupe-open", [self, config = state_.config(), services = services_.get(),
                        incarnation = state_.identity().incarnation, events = std::move(events)] {
          auto device =
              std::make_shared<OpenedDevice>(open_device(config, incarnation, services->host(), events));
          if (auto chip = caf::actor_cast<Chip>(self)) caf::anon_send(chip, DeviceOpened{std::move(device)});
        });
    return promise;
  }
  void adopt(OpenedDevice& device) {
    auto promise = std::move(opening_);
    opening_ = {};
    promise.deliver(state_.adopt(device));
    if (then_) std::exchange(then_, nullptr)();
  }

  /// Waits for an opening that is on its way, then does it.
  void when_settled(std::function<void()> what) {
    if (!opening_.pending()) return what();
    then_ = [first = std::move(then_), what = std::move(what)] {
      if (first) first();
      what();
    };
  }
  caf::typed_response_promise<Result<bool>> reset(std::uint32_t incarnation) {
    auto promise = make_response_promise<Result<bool>>();
    when_settled([this, promise, incarnation] { close(state_.reset(incarnation), promise, false); });
    return promise;
  }
  caf::typed_response_promise<Result<bool>> finalize() {
    auto promise = make_response_promise<Result<bool>>();
    when_settled([this, promise] { close(state_.take_context(), promise, true); });
    return promise;
  }
  void close(std::optional<platform::DeviceContext> context,
             caf::typed_response_promise<Result<bool>> promise, bool last) {
    closings_.push_back({std::move(promise), last});
    auto tell = [self = Chip(this)](const Result<void>& closed) {
      DeviceClosed news;
      if (!closed) news.error = closed.error();
      caf::anon_send(self, std::move(news));
    };
    if (!context) return tell({});
    services_->close(*std::move(context), path_, std::move(tell));
  }
  void closed(const DeviceClosed& news) {
    if (closings_.empty()) return;
    auto [promise, last] = std::move(closings_.front());
    closings_.pop_front();
    if (last) answer_only(state_.abandon(Error(Errc::chip_lost, path_ + ": the chip was finalized")));
    promise.deliver(news.error ? Result<bool>(*news.error) : Result<bool>(true));
    if (last) quit();
  }

  /// The rest queues behind the messages that arrived meanwhile.
  template <class Piece>
  caf::typed_response_promise<Result<bool>> in_pieces(Piece& piece, Result<bool> copied) {
    auto promise = make_response_promise<Result<bool>>();
    if (!copied || *copied) {
      promise.deliver(std::move(copied));
      return promise;
    }
    request(Chip(this), caf::infinite, std::move(piece))
        .then(
            [promise](Result<bool>& rest) mutable { promise.deliver(std::move(rest)); },
            [promise, this](const caf::error&) mutable {
              promise.deliver(Result<bool>(Error(Errc::chip_lost, path_ + ": the chip ended during a copy")));
            });
    return promise;
  }

  std::shared_ptr<Services> services_;
  std::string path_;
  ResultSink results_;
  std::chrono::nanoseconds grace_;
  ChipState state_;
  std::optional<Error> reason_;  ///< the actor ends for
  caf::typed_response_promise<Result<ExecutorInfo>> opening_;
  std::function<void()> then_;  ///< when it is open
  struct Closing {
    caf::typed_response_promise<Result<bool>> promise;
    bool last = false;  ///< the actor ends with it
  };
  std::deque<Closing> closings_;
};

}  // namespace

Chip spawn_chip(caf::local_actor* parent, std::shared_ptr<Services> services, ChipConfig config,
                ChipIdentity identity, std::string path, ResultSink results) {
  return parent->spawn<ChipActor>(std::move(services), std::move(config), std::move(identity),
                                  std::move(path), std::move(results));
}

}  // namespace troupe::actors
