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
        [this](const GetStatus&) { return status(); },
        [this](const Why& why) { return state_.why(why); },
        [this](const DeviceDone& ends) { ended(ends); },
        [this](const DeviceOpened& opened) { adopt(*opened.device); },
        [this](const DeviceClosed& closed) { this->closed(closed); },
        [this](const MemoryCalled& news) { memory_called(news); },
        [this](const ObjectLinked& news) { linked(news); },
        [this](const GiveUp& order) { give_up(order.task); },
        [this](const BringUp&) { return bring_up(); },
        [this](const ResetChip& order) { return reset(order.incarnation); },
        [this](const FinalizeChip&) { return finalize(); },
        [this](const DeviceMalloc& request) { return state_.malloc(request); },
        [this](const DeviceFree& request) { return ask_memory(MemoryCall::of(request)); },
        [this](const DeviceCopy& request) { return ask_memory(MemoryCall::of(request)); },
        [this](const StageBuffer& request) { return ask_memory(MemoryCall::of(request)); },
        [this](const WindowCreate& request) { return create_window(request); },
        [this](const WindowImport& request) { return state_.import_window(request); },
        [this](const WindowAbort& request) { state_.abort_window(request); },
        [this](const WindowRelease& request) {
          // What died with another life of the chip went with it.
          const auto call = MemoryCall::of(request);
          if (!state_.refuses(call)) make({call, {}});
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
    refuse_calls(killed);
    Results last{state_.identity().index, state_.identity().incarnation,
                 state_.abandon(reason_.value_or(killed)), true};
    auto tell = [to = std::exchange(results_, nullptr), last = std::move(last)](const Result<void>&) {
      if (to) caf::anon_send(to, last);
    };
    if (auto device = state_.take_context()) {
      services_->close(std::move(device), path_, std::move(tell));
    } else {
      tell({});
    }
  }

 private:
  void ended(const DeviceDone& ends) {
    answer(state_.ended(ends));
    for (auto& call : state_.due_again()) calls_.push_back({std::move(call), {}});
    next_call();
  }
  void answer(std::vector<TaskResult> results) {
    answer_only(std::move(results));
    while (const auto* callable = state_.to_link()) link(*callable);
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

  ExecutorStatus status() const {
    auto status = state_.status();
    if (calling_) status.busy.push_back(*calling_);
    return status;
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
    when_settled([this, promise, incarnation] {
      auto device = state_.reset(incarnation);
      refuse_calls(Error(Errc::data_lost, path_ + ": what is meant died when the chip was reset"));
      close(std::move(device), promise, false);
    });
    return promise;
  }
  caf::typed_response_promise<Result<bool>> finalize() {
    auto promise = make_response_promise<Result<bool>>();
    when_settled([this, promise] {
      auto device = state_.take_context();
      refuse_calls(Error(Errc::chip_lost, path_ + ": the chip was finalized"));
      close(std::move(device), promise, true);
    });
    return promise;
  }
  void close(std::shared_ptr<DeviceInUse> device, caf::typed_response_promise<Result<bool>> promise,
             bool last) {
    closings_.push_back({std::move(promise), last});
    auto tell = [self = Chip(this)](const Result<void>& closed) {
      DeviceClosed news;
      if (!closed) news.error = closed.error();
      caf::anon_send(self, std::move(news));
    };
    if (!device) return tell({});
    services_->close(std::move(device), path_, std::move(tell));
  }
  void closed(const DeviceClosed& news) {
    if (closings_.empty()) return;
    auto [promise, last] = std::move(closings_.front());
    closings_.pop_front();
    if (last) answer_only(state_.abandon(Error(Errc::chip_lost, path_ + ": the chip was finalized")));
    promise.deliver(news.error ? Result<bool>(*news.error) : Result<bool>(true));
    if (last) quit();
  }

  // --- memory: one call at a time, the long ones on a thread that may block --------------------------------

  using MemoryPromise = caf::typed_response_promise<Result<bool>>;
  struct WaitingCall {
    MemoryCall call;
    MemoryPromise promise;  ///< empty: nobody asks
  };

  MemoryPromise ask_memory(MemoryCall call) {
    auto promise = make_response_promise<Result<bool>>();
    make({std::move(call), promise});
    return promise;
  }
  void make(WaitingCall waiting) {
    calls_.push_back(std::move(waiting));
    next_call();
  }
  void next_call() {
    while (!calling_ && !calls_.empty()) {
      auto [call, promise] = std::move(calls_.front());
      calls_.pop_front();
      if (auto error = state_.refuses(call)) {
        answer_call(promise, *error);
      } else if (state_.takes_long(call)) {
        begin_call(std::move(call), promise);
      } else {
        auto made = state_.make(call);
        warn_of(call, made);
        answer_call(promise, std::move(made));
      }
    }
  }
  static void answer_call(MemoryPromise& promise, Result<bool> made) {
    if (promise.pending()) promise.deliver(std::move(made));
  }
  /// The thread answers by itself, when it has left the asker's memory alone for good: by then this actor may
  /// have ended.
  void begin_call(MemoryCall call, MemoryPromise& promise) {
    calling_ = std::string(call.name());
    if (call.moves_bytes()) *calling_ += " of " + std::to_string(call.bytes) + " bytes";
    const caf::response_promise& asked = promise;
    auto device = state_.device();
    device->enter(DeviceInUse::Inside::memory);
    services_->run_apart("troupe-memory", [call = std::make_shared<const MemoryCall>(std::move(call)), device,
                                           asker = asked.source(), id = asked.id(),
                                           self = caf::actor_cast<caf::weak_actor_ptr>(address())] {
      MemoryCalled news{call, perform(*device, *call)};
      if (asker) {
        auto made = ChipState::answer_of(*call, news.made);
        asker->enqueue(nullptr, id.response_id(), caf::make_message(std::move(made)), nullptr);
      }
      device->leave(DeviceInUse::Inside::memory);
      if (auto chip = caf::actor_cast<Chip>(self)) caf::anon_send(chip, std::move(news));
    });
  }
  void memory_called(const MemoryCalled& news) {
    calling_.reset();
    state_.settle(*news.call, news.made);
    if (!state_.refuses(*news.call)) warn_of(*news.call, ChipState::answer_of(*news.call, news.made));
    next_call();
  }
  void warn_of(const MemoryCall& call, const Result<bool>& made) const {
    if (made || call.what != MemoryCall::What::release_window) return;
    services_->warn(path_, "a window stays until the chip ends: " + made.error().message());
  }
  /// Those that have not begun.
  void refuse_calls(const Error& error) {
    for (auto& waiting : std::exchange(calls_, {})) answer_call(waiting.promise, error);
  }

  /// Nothing on the chip has to do with a window that is not there yet, so it waits for no other call.
  caf::typed_response_promise<Result<WindowOffer>> create_window(const WindowCreate& request) {
    auto promise = make_response_promise<Result<WindowOffer>>();
    if (state_.refuses(request) || !state_.takes_long(request)) {
      promise.deliver(state_.create_window(request));
      return promise;
    }
    const caf::response_promise& asked = promise;
    auto device = state_.device();
    device->enter(DeviceInUse::Inside::memory);
    services_->run_apart("troupe-window", [spec = request.spec, device, asker = asked.source(),
                                           id = asked.id(), path = path_] {
      Result<WindowOffer> offer(Error(Errc::chip_lost, path + ": the chip ended while a window was made"));
      if (!device->given_up()) offer = actors::create_window(*device, spec);
      device->leave(DeviceInUse::Inside::memory);
      if (asker) asker->enqueue(nullptr, id.response_id(), caf::make_message(std::move(offer)), nullptr);
    });
    return promise;
  }

  void link(const Callable& callable) {
    auto device = state_.device();
    device->enter(DeviceInUse::Inside::code);
    // The bytes go along: the thread may be left behind in the object, and outlive whoever has them.
    services_->run_apart("troupe-link",
                         [device, from = &callable, name = callable.name, bytes = callable.bytes,
                          kind = callable.core_kind, incarnation = state_.identity().incarnation,
                          self = caf::actor_cast<caf::weak_actor_ptr>(address())] {
                           ObjectLinked news{from, incarnation, Error(Errc::chip_lost, "the chip ended")};
                           if (!device->given_up())
                             news.id = register_object(device->context, name, bytes, kind);
                           device->leave(DeviceInUse::Inside::code);
                           if (auto chip = caf::actor_cast<Chip>(self)) caf::anon_send(chip, std::move(news));
                         });
  }
  void linked(const ObjectLinked& news) {
    std::vector<TaskResult> out;
    state_.linked(news, out);
    answer(std::move(out));
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
  std::deque<WaitingCall> calls_;       ///< on the memory, that have not begun
  std::optional<std::string> calling_;  ///< what is on its way on another thread
};

}  // namespace

Chip spawn_chip(caf::local_actor* parent, std::shared_ptr<Services> services, ChipConfig config,
                ChipIdentity identity, std::string path, ResultSink results) {
  return parent->spawn<ChipActor>(std::move(services), std::move(config), std::move(identity),
                                  std::move(path), std::move(results));
}

}  // namespace troupe::actors
