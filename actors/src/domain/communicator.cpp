#include "domain/domain.hpp"

#include <map>

#include "threads/threads.hpp"
#include "trace/trace.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

constexpr std::uint64_t buffer_alignment = 64;
/// Between two buffers of a window whose size nobody has said: who writes past one is seen on a checked chip.
constexpr std::uint64_t buffer_gap = 64;

class CommunicatorActor : public Communicator::base {
 public:
  CommunicatorActor(caf::actor_config& config, std::shared_ptr<Services> services, DomainInfo layout,
                    std::uint64_t window_bytes, std::vector<DomainMember> members, std::string path)
      : Communicator::base(config),
        stay_(services->stay()),
        services_(std::move(services)),
        path_(std::move(path)),
        replies_(this, Error(Errc::shut_down, path_ + " ended before it answered")),
        state_(std::move(layout), window_bytes, members, path_) {
    for (auto& member : members) members_.push_back(std::move(member.handle));
  }

  const char* name() const override { return "communicator"; }

  behavior_type make_behavior() override {
    end_on_exception(this, replies_, Errc::shut_down, [this] { return path_; });
    set_down_handler([this](caf::down_msg& down) {
      for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
        if (members_[rank].address() == down.source) state_.member_lost(rank);
      }
      flush();
    });
    return {
        [this](const Form&) { return form(); },
        [this](const Hold& hold) { state_.hold(hold.delta), flush(); },
        [this](const MemberReset& reset) { state_.member_reset(reset.chip), flush(); },
        [this](const Barrier& barrier) { return arrive(barrier); },
        [this](const Withdraw& over) { state_.withdraw(over.run), flush(); },
        [this](const Dissolve&) { state_.dissolve(), flush(); },
    };
  }

  void on_exit() override {
    if (formed_at_ != unknown_time) {
      services_->recorder()->lived(path_, "domain", "domain of " + std::to_string(state_.ranks()) + " chips",
                                   formed_at_);
    }
    state_.end();
    send_out(state_.take());
    replies_.end();
    members_.clear();
    stay_ = {};
  }

 private:
  caf::typed_response_promise<Result<DomainInfo>> form() {
    forming_ = replies_.owe<Result<DomainInfo>>();
    for (const auto& member : members_) monitor(member);
    state_.form(comm::DomainId::fresh());
    auto promise = forming_;
    flush();
    return promise;
  }
  caf::typed_response_promise<Result<std::uint64_t>> arrive(const Barrier& barrier) {
    auto promise = replies_.owe<Result<std::uint64_t>>();
    waiting_.emplace(++tickets_, promise);
    state_.arrive(barrier, tickets_);
    flush();
    return promise;
  }

  /// Sends what the message that was handled led to.
  void flush() {
    auto effects = state_.take();
    const bool over = effects.over;
    send_out(std::move(effects));
    if (over) quit();
  }
  void send_out(CommunicatorEffects effects) {
    for (const auto& [rank, create] : effects.creates) {
      request(members_[rank], caf::infinite, create)
          .then([this, r = rank](const Result<WindowOffer>& offer) { state_.created(r, offer), flush(); },
                [this, r = rank](const caf::error&) { state_.created(r, state_.lost(r)), flush(); });
    }
    for (auto& [rank, import] : effects.imports) {
      request(members_[rank], caf::infinite, std::move(import))
          .then([this, r = rank](const Result<troupe_window_view>& v) { state_.imported(r, v), flush(); },
                [this, r = rank](const caf::error&) { state_.imported(r, state_.lost(r)), flush(); });
    }
    for (const auto rank : effects.asks) {
      request(members_[rank], caf::infinite, Describe{})
          .then([this](const ExecutorInfo&) { state_.there(), flush(); },
                [this, rank](const caf::error&) { state_.member_lost(rank), flush(); });
    }
    for (const auto& [rank, abort] : effects.aborts) send(members_[rank], abort);
    for (const auto& [rank, release] : effects.releases) send(members_[rank], release);
    for (auto& [ticket, answer] : effects.barriers) {
      auto known = waiting_.extract(ticket);
      if (known) known.mapped().deliver(std::move(answer));
    }
    if (!effects.warning.empty()) services_->warn(path_, effects.warning);
    if (effects.formed) {
      if (*effects.formed) {
        services_->debug(path_, [&] { return "formed over " + std::to_string(members_.size()) + " chips"; });
      }
      if (const auto& recorder = services_->recorder(); recorder && *effects.formed) {
        formed_at_ = recorder->now();
      }
      forming_.deliver(*std::move(effects.formed));
    }
  }

  Stay stay_;
  std::shared_ptr<Services> services_;
  std::string path_;
  Replies replies_;
  std::vector<Chip> members_;  ///< by rank
  CommunicatorState state_;
  Reply<Result<DomainInfo>> forming_;
  std::map<std::uint64_t, Reply<Result<std::uint64_t>>> waiting_;  ///< at the barrier
  std::uint64_t tickets_ = 0;
  std::int64_t formed_at_ = unknown_time;  ///< only while a trace is taken
};

}  // namespace

Result<DomainInfo> layout_of(const DomainSpec& spec, std::uint64_t& window_bytes) {
  DomainInfo info;
  std::uint64_t end = 0;
  for (const auto& buffer : spec.buffers) {
    if (spec.window == 0 && end != 0) end += buffer_gap;
    const auto offset = (end + buffer_alignment - 1) / buffer_alignment * buffer_alignment;
    if (offset < end || offset + buffer.bytes < offset || offset + buffer.bytes > comm::max_window_bytes) {
      return Error(Errc::bad_argument, "buffer \"" + buffer.name + "\" is larger than any window");
    }
    end = offset + buffer.bytes;
    if (!info.buffers.emplace(buffer.name, std::pair{offset, buffer.bytes}).second) {
      return Error(Errc::bad_argument, "two buffers of the domain are called \"" + buffer.name + "\"");
    }
  }
  if (spec.window != 0 && end > spec.window) {
    return Error(Errc::bad_argument, "the domain's buffers need " + std::to_string(end) +
                                         " bytes, its window has " + std::to_string(spec.window));
  }
  window_bytes = spec.window != 0 ? spec.window : end;
  info.ranks.resize(spec.chips.size());
  return info;
}

Communicator spawn_communicator(caf::local_actor* parent, std::shared_ptr<Services> services,
                                DomainInfo layout, std::uint64_t window_bytes,
                                std::vector<DomainMember> members, std::string path) {
  return parent->spawn<CommunicatorActor>(std::move(services), std::move(layout), window_bytes,
                                          std::move(members), std::move(path));
}

}  // namespace troupe::actors
