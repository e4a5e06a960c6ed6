#include "chip/chip.hpp"

#include "last_word.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/longest_wait.hpp"
#include "troupe/runtime/thrown.hpp"

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DeviceDone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DeviceOpened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::DeviceClosed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MemoryCalled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LoanBack)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ObjectLinked)

namespace troupe::actors {
namespace {

/// A chip, and what only its own threads say to it.
using ChipSelf = Chip::extend<caf::reacts_to<DeviceDone>,    // hot
                              caf::reacts_to<DeviceOpened>,  //
                              caf::reacts_to<DeviceClosed>,  //
                              caf::reacts_to<MemoryCalled>,  //
                              caf::reacts_to<LoanBack>,      //
                              caf::reacts_to<ObjectLinked>>;

/// The news of a device, as messages to its chip actor. Called from the device's threads.
platform::ContextEvents events_for(caf::weak_actor_ptr chip, std::shared_ptr<Services> services,
                                   std::string path, const std::shared_ptr<ChipTracer>& tracer,
                                   bool own_process) {
  platform::ContextEvents events;
  if (services->reports_crashes() && !own_process) events.where = path;
  if (tracer) {
    events.trace = [tracer](std::span<const troupe_trace_event> news) { tracer->events(news); };
    events.dump = [tracer](const troupe_dump_record& record) { tracer->dump(record); };
  }
  events.complete = [chip](std::span<const troupe_completion> completions) {
    auto strong = caf::actor_cast<ChipSelf>(chip);
    if (!strong) return;
    DeviceDone done;
    done.ends.reserve(completions.size());
    for (const auto& end : completions) {
      done.ends.push_back({end.correlation, end.code, end.message != nullptr ? end.message : "",
                           end.caused_by, end.started_ns, end.finished_ns});
    }
    caf::anon_send(strong, std::move(done));
  };
  events.log = [chip, own_process, services = std::move(services), path = std::move(path)](
                   std::int32_t level, std::int32_t code, std::string_view text) {
    if (!own_process || code != TROUPE_DEVICE_LOST) return services->log(level, path, text);
    // Nothing may run there that would end with it. Whoever starts the chip again says why.
    if (auto strong = caf::actor_cast<ChipSelf>(chip))
      caf::anon_send(strong, DeviceDone{{}, std::string(text)});
  };
  return events;
}

class ChipActor : public ChipSelf::base {
 public:
  ChipActor(caf::actor_config& config, std::shared_ptr<Services> services, ChipConfig chip,
            ChipIdentity identity, std::string path, std::shared_ptr<const CallableRegistry> node,
            ResultSink results, std::shared_ptr<const void> above)
      : ChipSelf::base(config),
        stay_(services->stay()),
        services_(std::move(services)),
        path_(std::move(path)),
        results_(std::move(results)),
        grace_(runtime::bounded(chip.abort_grace)),
        replies_(this, Error(Errc::chip_lost, path_ + ": the chip ended while it held the task")),
        state_(std::move(chip), std::move(identity), services_->host(),
               services_->recorder() ? std::make_shared<ChipTracer>(services_->recorder(), path_) : nullptr,
               std::move(node)) {
    last_word_->above = std::move(above);
    state_.when_loans_come_back(
        [self = caf::actor_cast<caf::weak_actor_ptr>(address())](const LoanBack& back) {
          if (auto chip = caf::actor_cast<ChipSelf>(self)) caf::anon_send(chip, back);
        });
  }

  const char* name() const override { return "chip"; }

  behavior_type make_behavior() override {
    end_on_exception(this, replies_, Errc::chip_lost, [this] { return path_; });
    const auto take_tasks = [this](Execute& execute) { proceed(state_.execute(execute.requests)); };
    const auto take_orders = [this](DataOrders& orders) { proceed(state_.take(orders)); };
    const auto take_ends = [this](const DeviceDone& ends) { ended(ends); };
    behavior_type all{
        take_tasks,
        take_orders,
        take_ends,
        [this](const Cancel& order) { cancel(order); },
        [this](const Describe&) { return state_.describe(); },
        [this](const GetStatus&) { return status(); },
        [this](const Why& why) { return state_.why(why); },
        [this](const DeviceOpened& opened) { adopt(*opened.device); },
        [this](const DeviceClosed& closed) { this->closed(closed); },
        [this](const MemoryCalled& news) { memory_called(news); },
        [this](const LoanBack& back) { proceed(state_.returned(back)); },
        [this](const ObjectLinked& news) { linked(news); },
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
    return hot_first(this, std::move(all), take_tasks, take_orders, take_ends);
  }

  /// However the actor ends: every caller that waits for an answer gets one, its context is closed elsewhere,
  /// exactly once; then its tasks are answered.
  void on_exit() override {
    replies_.end();
    last_word_->word = {state_.identity().index, state_.identity().incarnation,
                        state_.abandon(replies_.otherwise()), id()};
    last_word_->to = std::exchange(results_, nullptr);
    if (auto device = state_.take_context()) {
      close_device(*services_, std::move(device), path_, [last = last_word_](const Result<void>&) {});
    }
    last_word_ = nullptr;
    // These refer to the actor: cleared, so that it can be freed.
    calls_.clear();
    later_.clear();
    stay_ = {};
  }

 private:
  void ended(const DeviceDone& ends) {
    if (!ends.lost.empty()) return device_died(ends.lost);
    proceed(state_.ended(ends));
    for (auto& call : state_.due_again()) calls_.push_back({std::move(call), {}});
    next_call();
  }
  /// Something has changed: reports what has ended, and does what the state wants done now.
  void proceed(std::vector<TaskResult> results) {
    // First how tasks ended: what one that did not begin was to write is not there, though it was stored.
    report(std::move(results));
    if (auto stored = state_.take_stored(); !stored.empty() && results_) {
      send(results_, Stored{state_.identity().index, state_.identity().incarnation, std::move(stored)});
    }
    if (auto wanted = state_.take_wanted_room(); !wanted.empty() && results_) {
      send(results_, RoomWanted{state_.identity().index, state_.identity().incarnation, std::move(wanted)});
    }
    if (auto moves = state_.to_move(); !moves.empty()) {
      for (auto& move : moves) calls_.push_back({std::move(move), {}});
      next_call();
    }
    while (const auto order = state_.to_link()) link(*order);
    if (auto ids = state_.to_unlink(); !ids.empty()) unlink(std::move(ids));
    if (state_.device_lost()) device_died(state_.how_lost());
  }
  void device_died(const std::string& how) {
    if (state_.life() != ChipState::Life::ready && !state_.device_lost()) return;  // that was another device
    die(Error(Errc::chip_lost, how.empty() ? path_ + ": the device is lost" : how));
  }
  void die(const Error& reason) {
    replies_.because(reason);
    quit(exit_with(reason));
  }
  void report(std::vector<TaskResult> results) {
    if (results.empty() || !results_) return;
    Results news{state_.identity().index, state_.identity().incarnation, std::move(results)};
    news.brought_bytes = std::exchange(brought_bytes_, 0);
    news.brought_in = std::exchange(brought_in_, 0);
    send(results_, std::move(news));
  }

  ExecutorStatus status() const {
    auto status = state_.status();
    if (calling_) status.busy.push_back(*calling_);
    return status;
  }
  void cancel(const Cancel& order) {
    proceed(state_.cancel(order));
    if (const auto last = state_.asked_to_end()) give_up_later(last);
  }
  void give_up(std::uint64_t upto) {
    if (state_.life() != ChipState::Life::ready) return;  // being closed, which gives up on everything
    if (const auto error = state_.does_not_end(upto)) return die(*error);
    if (const auto last = state_.asked_to_end(); last != 0 && last <= upto) {
      give_up_later(upto);
    }
  }
  /// What was asked to end: does it still run when the grace is over?
  void give_up_later(std::uint64_t upto) {
    call_after(this, grace_, [this, upto] { give_up(upto); });
  }

  // --- opening and closing: on a thread that may block, one at a time --------------------------------------

  caf::typed_response_promise<Result<ExecutorInfo>> bring_up() {
    auto promise = replies_.owe<Result<ExecutorInfo>>();
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
    auto events = events_for(self, services_, path_, state_.tracer(),
                             state_.config().own_process || state_.config().remote);
    services_->run_blocking("troupe-open", [self, config = state_.config(), services = services_.get(),
                                            path = path_, incarnation = state_.identity().incarnation,
                                            events = std::move(events)] {
      auto device = std::make_shared<OpenedDevice>();
      try {
        *device = open_device(config, incarnation, services->host(), events);
      } catch (...) {
        device->error = Error(Errc::bootstrap_failed,
                              path + ": opening the device: " + runtime::text_of(std::current_exception()));
      }
      if (auto chip = caf::actor_cast<ChipSelf>(self)) caf::anon_send(chip, DeviceOpened{std::move(device)});
    });
    return promise;
  }
  void adopt(OpenedDevice& device) {
    const auto promise = std::exchange(opening_, {});
    promise.deliver(state_.adopt(device));
    go_on();
  }

  /// Waits for an opening or a closing that is on its way, then does it.
  void when_at_rest(std::function<void()> what) {
    later_.push_back(std::move(what));
    go_on();
  }
  void go_on() {
    while (!opening_.pending() && !closing_ && !later_.empty()) {
      const auto next = std::move(later_.front());
      later_.pop_front();
      next();
    }
  }
  caf::typed_response_promise<Result<bool>> reset(std::uint32_t incarnation) {
    auto promise = replies_.owe<Result<bool>>();
    when_at_rest([this, promise, incarnation] {
      auto device = state_.reset(incarnation);
      refuse_calls(Error(Errc::data_lost, path_ + ": what is meant died when the chip was reset"));
      close(std::move(device), promise, false);
    });
    return promise;
  }
  caf::typed_response_promise<Result<bool>> finalize() {
    auto promise = replies_.owe<Result<bool>>();
    when_at_rest([this, promise] {
      auto device = state_.take_context();
      refuse_calls(Error(Errc::chip_lost, path_ + ": the chip was finalized"));
      close(std::move(device), promise, true);
    });
    return promise;
  }
  void close(std::shared_ptr<DeviceInUse> device, Reply<Result<bool>> promise, bool last) {
    closing_ = Closing{std::move(promise), last};
    auto tell = [self = ChipSelf(this), word = last_word_](const Result<void>& closed) {
      DeviceClosed news;
      if (!closed) news.error = closed.error();
      caf::anon_send(self, std::move(news));
    };
    if (!device) return tell({});
    close_device(*services_, std::move(device), path_, std::move(tell));
  }
  void closed(const DeviceClosed& news) {
    if (!closing_) return;
    const auto [promise, last] = *std::exchange(closing_, std::nullopt);
    if (last) report(state_.abandon(Error(Errc::chip_lost, path_ + ": the chip was finalized")));
    promise.deliver(news.error ? Result<bool>(*news.error) : Result<bool>(true));
    if (last) return quit();
    go_on();
  }

  // --- memory: one call at a time, the long ones on a thread that may block --------------------------------

  using MemoryPromise = Reply<Result<bool>>;
  struct WaitingCall {
    MemoryCall call;
    MemoryPromise promise;  ///< empty: nobody asks
  };

  caf::typed_response_promise<Result<bool>> ask_memory(MemoryCall call) {
    auto promise = replies_.owe<Result<bool>>();
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
        promise.deliver(*error);
      } else if (state_.takes_long(call)) {
        begin_call(std::move(call), promise);
      } else {
        auto made = state_.make(call);
        warn_of(call, made);
        promise.deliver(std::move(made));
      }
    }
  }
  /// The thread answers by itself, when it has left the asker's memory alone for good: by then this actor may
  /// have ended.
  void begin_call(MemoryCall call, const MemoryPromise& promise) {
    calling_ = std::string(call.name());
    if (call.moves_bytes()) *calling_ += " of " + std::to_string(call.bytes) + " bytes";
    promise.outlive();
    auto device = state_.device();
    device->enter(DeviceInUse::Inside::memory);
    services_->run_apart("troupe-memory",
                         [call = std::make_shared<const MemoryCall>(std::move(call)), device, promise,
                          self = caf::actor_cast<caf::weak_actor_ptr>(address()), clock = services_->host()] {
                           MemoryCalled news{call, {}, static_cast<std::int64_t>(clock->now())};
                           news.made = perform(*device, *call);
                           news.ended = static_cast<std::int64_t>(clock->now());
                           promise.deliver(ChipState::answer_of(*call, news.made));
                           device->leave(DeviceInUse::Inside::memory);
                           if (auto chip = caf::actor_cast<ChipSelf>(self))
                             caf::anon_send(chip, std::move(news));
                         });
  }
  void memory_called(const MemoryCalled& news) {
    calling_.reset();
    state_.trace(*news.call, news.began, news.ended, news.made);
    if (news.call->buffer || news.call->task) {
      using What = MemoryCall::What;
      if (news.made && (news.call->what == What::copy_to || news.call->what == What::take)) {
        brought_bytes_ += news.call->bytes;
        brought_in_ += news.ended - news.began;
      }
      proceed(state_.moved(*news.call, news.made));
      return next_call();
    }
    state_.account_for(*news.call, news.made);
    if (!state_.refuses(*news.call)) warn_of(*news.call, ChipState::answer_of(*news.call, news.made));
    next_call();
  }
  void warn_of(const MemoryCall& call, const Result<bool>& made) const {
    if (made || call.what != MemoryCall::What::release_window) return;
    services_->warn(path_, "a window stays until the chip ends: " + made.error().message());
  }
  /// Those that have not begun.
  void refuse_calls(const Error& error) {
    for (auto& waiting : std::exchange(calls_, {})) waiting.promise.deliver(error);
  }

  /// Nothing on the chip has to do with a window that is not there yet, so it waits for no other call.
  caf::typed_response_promise<Result<WindowOffer>> create_window(const WindowCreate& request) {
    auto promise = replies_.owe<Result<WindowOffer>>();
    if (state_.refuses(request) || !state_.takes_long(request)) {
      promise.deliver(state_.create_window(request));
      return promise;
    }
    promise.outlive();
    auto device = state_.device();
    device->enter(DeviceInUse::Inside::memory);
    services_->run_apart("troupe-window", [spec = request.spec, gaps = request.gaps, device, promise,
                                           path = path_] {
      Result<WindowOffer> offer(Error(Errc::chip_lost, path + ": the chip ended while a window was made"));
      if (!device->given_up()) offer = actors::create_window(*device, spec);
      device->leave(DeviceInUse::Inside::memory);
      promise.deliver(std::move(offer));
    });
    return promise;
  }

  void link(const ChipState::LinkOrder& order) {
    auto device = state_.device();
    device->enter(DeviceInUse::Inside::code);
    // The bytes go along: the thread may be left behind in the object, and outlive their owner.
    std::function<void()> work = [device, key = order.key, name = order.name, bytes = order.callable->bytes,
                                  kind = order.callable->core_kind,
                                  incarnation = state_.identity().incarnation,
                                  self = caf::actor_cast<caf::weak_actor_ptr>(address())] {
      ObjectLinked news{key, incarnation, Error(Errc::chip_lost, "the chip ended")};
      if (!device->given_up()) news.id = register_object(device->context, name, bytes, kind);
      device->leave(DeviceInUse::Inside::code);
      if (auto chip = caf::actor_cast<ChipSelf>(self)) caf::anon_send(chip, std::move(news));
    };
    if (services_->try_apart("troupe-link", work)) return;
    // Its constructors may never return, which nobody here could wait for.
    device->leave(DeviceInUse::Inside::code);
    send(this, ObjectLinked{order.key, state_.identity().incarnation,
                            no_thread_for("linking \"" + order.name + "\" in")});
  }
  void linked(const ObjectLinked& news) {
    // A task that asked for it fails with the error; a chip program only finds that the name means nothing.
    if (!news.id && !news.callable.own) services_->warn(path_, news.id.error().message());
    std::vector<TaskResult> out;
    state_.linked(news, out);
    proceed(std::move(out));
  }
  void unlink(std::vector<std::uint64_t> callables) {
    auto device = state_.device();
    device->enter(DeviceInUse::Inside::code);
    services_->run_apart("troupe-unlink", [device, callables = std::move(callables)] {
      for (const auto id : callables) {
        // Fails only when the device has gone, and the object with it.
        if (!device->given_up()) (void)device->context.unregister_callable(id);
      }
      device->leave(DeviceInUse::Inside::code);
    });
  }

  Stay stay_;
  std::shared_ptr<Services> services_;
  std::string path_;
  ResultSink results_;
  std::chrono::nanoseconds grace_;
  Replies replies_;
  std::uint64_t brought_bytes_ = 0;  ///< what nobody has been told of yet
  std::int64_t brought_in_ = 0;
  ChipState state_;
  std::shared_ptr<LastWord> last_word_ = std::make_shared<LastWord>();
  Reply<Result<ExecutorInfo>> opening_;
  struct Closing {
    Reply<Result<bool>> promise;
    bool last = false;  ///< the actor ends with it
  };
  std::optional<Closing> closing_;
  std::deque<std::function<void()>> later_;  ///< once what is opened or closed now is
  std::deque<WaitingCall> calls_;            ///< on the memory, that have not begun
  std::optional<std::string> calling_;       ///< what is on its way on another thread
};

}  // namespace

Chip spawn_chip(caf::local_actor* parent, std::shared_ptr<Services> services, ChipConfig config,
                ChipIdentity identity, std::string path, std::shared_ptr<const CallableRegistry> node,
                ResultSink results, std::shared_ptr<const void> above) {
  return parent->spawn<ChipActor>(std::move(services), std::move(config), std::move(identity),
                                  std::move(path), std::move(node), std::move(results), std::move(above));
}

}  // namespace troupe::actors
