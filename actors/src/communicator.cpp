#include "communicator.hpp"

#include "recorder.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/window.hpp"

namespace troupe::actors {
namespace {

constexpr std::uint64_t buffer_alignment = 64;

/// A domain's life: idle → creating → importing → formed → (revoked) → released. All windows or none: an
/// error or a death on the way takes back what was made.
class CommunicatorActor : public Communicator::base {
 public:
  CommunicatorActor(caf::actor_config& config, std::shared_ptr<Services> services, DomainInfo layout,
                    std::uint64_t window_bytes, std::vector<DomainMember> members, std::string path)
      : Communicator::base(config),
        services_(std::move(services)),
        info_(std::move(layout)),
        window_bytes_(window_bytes),
        path_(std::move(path)),
        members_(std::move(members)),
        windows_(members_.size(), 0),
        blobs_(members_.size()) {}

  const char* name() const override { return "communicator"; }

  behavior_type make_behavior() override {
    set_down_handler([this](caf::down_msg& down) { member_down(down); });
    return {
        [this](const Form&) { return form(); },
        [this](const Hold& hold) {
          holds_ += hold.delta;
          release_if_unused();
        },
        [this](const MemberReset& reset) {
          for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
            if (members_[rank].chip == reset.chip) member_lost(rank);
          }
        },
        [this](const Dissolve&) {
          dissolving_ = true;
          release_if_unused();
        },
    };
  }

  void on_exit() override {
    if (formed_at_ != unknown_time) {
      services_->recorder()->lived(path_, "domain", "domain of " + std::to_string(members_.size()) + " chips",
                                   formed_at_);
    }
    take_back();
    for (auto& member : members_) member.handle = nullptr;
  }

 private:
  enum class Phase : std::uint8_t { idle, creating, importing, formed, failed };

  caf::typed_response_promise<Result<DomainInfo>> form() {
    promise_ = make_response_promise<Result<DomainInfo>>();
    phase_ = Phase::creating;
    const auto id = comm::DomainId::fresh();
    if (!id) {
      fail(id.error());
      return promise_;
    }
    for (const auto& member : members_) monitor(member.handle);
    open_ = members_.size();
    for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
      WindowCreate create;
      create.spec.domain[0] = id->high;
      create.spec.domain[1] = id->low;
      create.spec.epoch = info_.epoch;
      create.spec.bytes = window_bytes_;
      create.spec.rank = rank;
      create.spec.rank_count = static_cast<std::uint32_t>(members_.size());
      request(members_[rank].handle, caf::infinite, create)
          .then([this, rank](const Result<WindowOffer>& offer) { created(rank, offer); },
                [this, rank](const caf::error&) { created(rank, lost(rank)); });
    }
    return promise_;
  }

  void created(std::uint32_t rank, const Result<WindowOffer>& offer) {
    if (offer) {
      windows_[rank] = offer->window;
      blobs_[rank] = offer->blob;
    }
    --open_;
    if (phase_ == Phase::failed) return take_back();
    if (!offer) return fail(offer.error().inside(members_[rank].name));
    if (open_ > 0) return;
    phase_ = Phase::importing;
    open_ = members_.size();
    for (std::uint32_t r = 0; r < members_.size(); ++r) {
      request(members_[r].handle, caf::infinite, WindowImport{windows_[r], false, blobs_})
          .then([this, r](const Result<troupe_window_view>& ready) { imported(r, ready); },
                [this, r](const caf::error&) { imported(r, lost(r)); });
    }
  }

  void imported(std::uint32_t rank, const Result<troupe_window_view>& ready) {
    --open_;
    if (phase_ == Phase::failed) return take_back();
    if (!ready) return fail(ready.error().inside(members_[rank].name));
    if (open_ > 0) return;
    open_ = members_.size();
    for (std::uint32_t r = 0; r < members_.size(); ++r) {
      request(members_[r].handle, caf::infinite, WindowImport{windows_[r], true, {}})
          .then([this, r](const Result<troupe_window_view>& view) { committed(r, view); },
                [this, r](const caf::error&) { committed(r, lost(r)); });
    }
  }

  void committed(std::uint32_t rank, const Result<troupe_window_view>& view) {
    --open_;
    if (phase_ == Phase::failed) return take_back();
    if (!view) return fail(view.error().inside(members_[rank].name));
    const auto& member = members_[rank];
    info_.ranks[rank] = {
        member.chip,           member.arena,     device_generation(member.incarnation, info_.id),
        view->context_address, view->local_base, view->bytes};
    if (open_ > 0) return;
    phase_ = Phase::formed;
    if (const auto& recorder = services_->recorder()) formed_at_ = recorder->now();
    promise_.deliver(Result<DomainInfo>(info_));
    release_if_unused();
  }

  Error lost(std::uint32_t rank) const {
    return {comm::Errc::peer_lost,
            path_ + ": rank " + std::to_string(rank) + " (" + members_[rank].name + ") is gone"};
  }

  void member_down(const caf::down_msg& down) {
    for (std::uint32_t rank = 0; rank < members_.size(); ++rank) {
      if (members_[rank].handle && members_[rank].handle.address() == down.source) member_lost(rank);
    }
  }
  void member_lost(std::uint32_t rank) {
    if (!members_[rank].handle) return;
    const auto error = lost(rank);
    windows_[rank] = 0;  // died with its chip
    members_[rank].handle = nullptr;
    // Ends every wait on the domain, in kernels too; the windows stay until their tasks have ended.
    for (std::uint32_t other = 0; other < members_.size(); ++other) {
      if (windows_[other] == 0) continue;
      send(members_[other].handle,
           WindowAbort{windows_[other], static_cast<std::int32_t>(comm::Errc::peer_lost), rank});
    }
    services_->warn(path_, error.message() + "; the domain is revoked");
    if (phase_ == Phase::creating || phase_ == Phase::importing) fail(error.inside(members_[rank].name));
  }

  void fail(const Error& error) {
    phase_ = Phase::failed;
    promise_.deliver(Result<DomainInfo>(error));
    take_back();
    if (open_ == 0) quit();
  }

  void take_back() {
    for (std::size_t rank = 0; rank < windows_.size(); ++rank) {
      const auto window = std::exchange(windows_[rank], 0);
      if (window != 0 && members_[rank].handle) send(members_[rank].handle, WindowRelease{window});
    }
    if (phase_ == Phase::failed && open_ == 0) quit();
  }

  void release_if_unused() {
    if (!dissolving_ || holds_ > 0 || phase_ != Phase::formed) return;
    quit();
  }

  std::shared_ptr<Services> services_;
  DomainInfo info_;
  std::uint64_t window_bytes_;
  std::string path_;
  std::vector<DomainMember> members_;
  std::vector<std::uint64_t> windows_;
  std::vector<troupe_window_blob> blobs_;
  caf::typed_response_promise<Result<DomainInfo>> promise_;
  Phase phase_ = Phase::idle;
  std::size_t open_ = 0;
  std::int64_t holds_ = 0;
  bool dissolving_ = false;
  std::int64_t formed_at_ = unknown_time;  ///< only while a trace is taken
};

}  // namespace

Result<DomainInfo> layout_of(const DomainSpec& spec, std::uint64_t& window_bytes) {
  DomainInfo info;
  std::uint64_t end = 0;
  for (const auto& buffer : spec.buffers) {
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
