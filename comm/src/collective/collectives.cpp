#include "troupe/comm/collectives.hpp"

#include <optional>
#include <string>
#include <utility>

#include "collective/call.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/longest_wait.hpp"
#include "windows/windows.hpp"

namespace troupe::comm {

namespace {

using collective::Algorithm;
using collective::Call;
using collective::Kind;

static_assert(CollectiveWorkspace::signals == collective::lines_bytes);
static_assert(static_cast<int>(AllReduceAlgorithm::bidirectional_ring) ==
              static_cast<int>(Algorithm::bidirectional_ring));
static_assert(static_cast<int>(ReduceOp::max) == static_cast<int>(collective::Op::max));

/// Signals through the windows of a domain: parks, and ends when the domain does. Words lie in the workspace,
/// whose bounds were checked when the collectives were made.
class DomainSignals {
 public:
  DomainSignals(const DomainMember& member, std::chrono::milliseconds timeout) noexcept
      : domain_(DomainAccess::of(member)), timeout_(timeout) {}

  /// A call begins.
  void start() noexcept { until_.reset(); }
  /// Its end; the clock is read when this is asked for first.
  Deadline deadline() noexcept {
    if (!until_) {
      const Deadline now = domain_.environment->now();
      const auto wait = runtime::bounded(timeout_);
      until_ = wait == runtime::longest_wait ? never : now + wait;
    }
    return *until_;
  }
  int notify(std::uint32_t rank, std::uint64_t offset, std::uint64_t value) noexcept {
    set_and_announce(word(rank, offset), value, domain_.headers[rank]->inbox, *domain_.environment);
    return collective::ok;
  }
  int wait_at_least(std::uint64_t offset, std::uint64_t value) noexcept {
    const auto& mine = word(domain_.spec.rank, offset);
    // Most waits end before the deadline is asked for.
    const Waited waited = wait_for(
        domain_.own().inbox, domain_.patience, *domain_.environment, [this] { return deadline(); },
        [&] { return mine.load(std::memory_order_seq_cst) >= value; }, [this] { return domain_.ended(); });
    if (waited == Waited::ready) return collective::ok;
    waited_at_ = offset;
    return 1;
  }
  bool ended() const noexcept { return domain_.ended(); }
  Error why_ended() const { return domain_.why_ended(); }
  /// Of the wait that failed.
  std::uint64_t waited_at() const noexcept { return waited_at_; }

 private:
  std::atomic<std::uint64_t>& word(std::uint32_t rank, std::uint64_t offset) const noexcept {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(domain_.bases[rank] + offset);
  }

  const DomainAccess::Impl& domain_;
  std::chrono::milliseconds timeout_;
  std::optional<Deadline> until_;  ///< of the call, once it was asked for
  std::uint64_t waited_at_ = 0;
};

std::string_view name_of(Kind kind) {
  constexpr std::string_view names[] = {"?",         "all_reduce", "all_gather", "reduce_scatter",
                                        "broadcast", "all_to_all", "barrier"};
  return names[static_cast<std::size_t>(kind)];
}

bool overlap(const std::byte* a, std::size_t a_bytes, const std::byte* b, std::size_t b_bytes) noexcept {
  return a_bytes != 0 && b_bytes != 0 && a < b + b_bytes && b < a + a_bytes;
}

/// An array of a call.
struct Array {
  const std::byte* data;
  std::size_t count;
};

}  // namespace

std::string_view name_of(AllReduceAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case AllReduceAlgorithm::automatic:
      return "automatic";
    case AllReduceAlgorithm::one_phase:
      return "one_phase";
    case AllReduceAlgorithm::two_phase:
      return "two_phase";
    case AllReduceAlgorithm::ring:
      return "ring";
    case AllReduceAlgorithm::bidirectional_ring:
      return "bidirectional_ring";
  }
  return "?";
}

CollectivePart part_of(std::size_t count, std::uint32_t ranks, std::uint32_t rank) noexcept {
  const collective::Span span = collective::near_equal(count, ranks, rank);
  return {span.first, span.count};
}

struct Collectives::Impl {
  Impl(DomainMember& domain_member, CollectiveWorkspace workspace, CollectiveOptions call_options)
      : member(domain_member),
        options(call_options),
        signals(domain_member, call_options.timeout),
        team(signals, domain_member.context()->rank, domain_member.context()->rank_count,
             domain_member.context()->windows_in, workspace.offset, workspace.bytes) {}

  Result<void> check(const Call& call, Array in, Array out) const;
  Result<void> perform(Call call, Array in, Array out);
  Error failure(const Call& call, int status);
  bool in_window(Array array, std::size_t element) const noexcept;

  DomainMember& member;
  CollectiveOptions options;
  DomainSignals signals;
  collective::Team<DomainSignals> team;
};

bool Collectives::Impl::in_window(Array array, std::size_t element) const noexcept {
  const std::span<std::byte> window = member.window(team.rank());
  const auto at = reinterpret_cast<std::uintptr_t>(array.data);
  const auto base = reinterpret_cast<std::uintptr_t>(window.data());
  return at >= base && at - base <= window.size() && array.count * element <= window.size() - (at - base);
}

Result<void> Collectives::Impl::check(const Call& call, Array in, Array out) const {
  const auto what = [&] { return std::string(name_of(call.kind)); };
  const std::size_t element = call.work.element();
  if (element == 0) return Error(Errc::bad_argument, what() + ": unknown element type");
  constexpr std::size_t most = std::size_t{1} << 46;
  if (in.count > most || out.count > most) {
    return Error(Errc::out_of_bounds,
                 what() + ": " + std::to_string(std::max(in.count, out.count)) + " elements cannot be real");
  }
  if ((in.data == nullptr && in.count != 0) || (out.data == nullptr && out.count != 0)) {
    return Error(Errc::bad_argument, what() + ": an array is null");
  }
  const bool reducing = call.kind == Kind::all_reduce || call.kind == Kind::reduce_scatter;
  if (reducing && !collective::reducible(call.work.dtype)) {
    return Error(
        Errc::unsupported,
        what() + ": no arithmetic for element type " + std::string(runtime::name_of(call.work.dtype)),
        "f32, f16, bf16 and i32 can be reduced");
  }
  if (reducing && !collective::known(call.work.op)) {
    return Error(Errc::bad_argument, what() + ": unknown operation");
  }
  if (call.algorithm > Algorithm::bidirectional_ring) {
    return Error(Errc::bad_argument, what() + ": unknown algorithm");
  }
  if (call.root >= team.ranks()) {
    return Error(Errc::bad_rank, what() + ": root " + std::to_string(call.root) + " of " +
                                     std::to_string(team.ranks()) + " ranks");
  }
  // Halves of the pair may coincide where the declaration says so, and nowhere else.
  const collective::Span own =
      collective::near_equal(std::max(in.count, out.count), team.ranks(), team.rank());
  const bool same = (call.kind == Kind::all_reduce && in.data == out.data) ||
                    (call.kind == Kind::all_gather && in.data == out.data + own.first * element) ||
                    (call.kind == Kind::reduce_scatter && out.data == in.data + own.first * element);
  if (!same && overlap(in.data, in.count * element, out.data, out.count * element)) {
    return Error(Errc::bad_argument, what() + ": in and out overlap");
  }
  if (team.half_bytes() < collective::half_bytes_needed(call, team.ranks())) {
    return Error(Errc::out_of_bounds, what() + ": the workspace has too little scratch for this call",
                 "arrays outside the windows and one_phase need scratch; " +
                     std::to_string(CollectiveWorkspace::comfortable) + " bytes are comfortable");
  }
  return {};
}

Result<void> Collectives::Impl::perform(Call call, Array in, Array out) {
  if (auto alive = member.check(); !alive) return alive;
  const std::size_t element = call.work.element();
  call.work.in = in.data;
  call.work.out = const_cast<std::byte*>(out.data);
  call.staged = call.kind != Kind::barrier &&
                !(in_window(out, element) && (call.kind == Kind::broadcast || in_window(in, element)));
  if (call.kind == Kind::all_gather && !call.staged) {
    const collective::Span own = collective::near_equal(out.count, team.ranks(), team.rank());
    call.in_place = in.data == out.data + own.first * element;
  }
  if (call.kind == Kind::all_reduce && call.algorithm == Algorithm::automatic) {
    call.algorithm = collective::choose(team, call.work.bytes(), call.staged);
  }
  if (auto checked = check(call, in, out); !checked) return checked;
  if (team.ranks() == 1) {
    run_alone(call);
    return {};
  }
  signals.start();
  const auto window = reinterpret_cast<std::uint64_t>(member.window(team.rank()).data());
  const int status = run(team, call, window);
  if (status != collective::ok) return failure(call, status);
  return {};
}

Error Collectives::Impl::failure(const Call& call, int status) {
  const std::string what(name_of(call.kind));
  const std::string peer = std::to_string(team.peer());
  if (status == collective::broken) {
    return Error(Errc::wrong_state, what + ": an earlier collective on this workspace failed half-way",
                 "call reset() on every rank");
  }
  // When the domain has ended a peer that gave up has done so because of that, and everybody knows already.
  if (status != collective::disagreement && signals.ended()) return signals.why_ended();
  std::uint32_t late = collective::Team<DomainSignals>::nobody;
  Error error(Errc::mismatch, what + ": rank " + peer + " makes another call, or with other arguments",
              "every rank makes the same collective calls in the same order, with the same sizes, types, "
              "offsets and algorithm");
  if (status == collective::gave_up) {
    const auto reason = static_cast<Errc>(team.peer_reason());
    late = team.peer_blamed();
    if (late == team.nobody) {
      error = Error(reason, what + ": rank " + peer + " gave up (" + std::string(error_name(reason)) + ")",
                    "its own error says why");
    } else {
      const std::string whom = late == team.rank() ? "this rank" : "rank " + std::to_string(late);
      error =
          Error(reason, what + ": " + whom + " did not come in time, after which rank " + peer + " gave up",
                "is it in another call, or in none?");
    }
  } else if (status != collective::disagreement) {
    const auto line =
        static_cast<std::uint32_t>((signals.waited_at() - team.line_offset(0)) / collective::line_bytes);
    late = team.late(line);
    std::string text = what + ": rank " + std::to_string(late) + " did not come within " +
                       std::to_string(options.timeout.count()) + " ms";
    if (late != line) text += ", rank " + std::to_string(line) + " waits for it, too";
    error = Error(Errc::deadline, std::move(text), "is it in another call, or in none?");
  }
  if (late < team.ranks() && late != team.rank()) DomainAccess::blame(member, rank_bit(late));
  // The others must not wait for this rank.
  team.leave(static_cast<std::uint32_t>(error.code().value), late);
  return error;
}

Collectives::Collectives(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Collectives::Collectives(Collectives&&) noexcept = default;
Collectives& Collectives::operator=(Collectives&&) noexcept = default;
Collectives::~Collectives() = default;

Result<Collectives> Collectives::over(DomainMember& member, CollectiveWorkspace workspace,
                                      CollectiveOptions options) {
  const runtime::CommContext* context = member.context();
  if (context == nullptr) {
    return Error(Errc::wrong_state, "collectives need a committed domain", "commit first");
  }
  if (workspace.offset % collective::line_bytes != 0) {
    return Error(Errc::misaligned, "the collective workspace begins at offset " +
                                       std::to_string(workspace.offset) + ", not a multiple of 64");
  }
  if (workspace.bytes < CollectiveWorkspace::signals || workspace.offset > context->window_size ||
      workspace.bytes > context->window_size - workspace.offset) {
    return Error(Errc::out_of_bounds,
                 "a collective workspace of " + std::to_string(workspace.bytes) + " bytes at offset " +
                     std::to_string(workspace.offset) + " of a window of " +
                     std::to_string(context->window_size),
                 "it needs " + std::to_string(CollectiveWorkspace::signals) + " bytes or more");
  }
  return Collectives(std::make_unique<Impl>(member, workspace, options));
}

Result<Collectives> Collectives::over(DomainMember& member, CollectiveWorkspace workspace) {
  const auto options = CommOptions::from_environment();
  if (!options) return options.error();
  return over(member, workspace, {.timeout = options->timeout});
}

std::uint32_t Collectives::rank() const noexcept { return impl_->team.rank(); }
std::uint32_t Collectives::ranks() const noexcept { return impl_->team.ranks(); }

namespace {
collective::Work work(std::size_t count, runtime::DType dtype, ReduceOp op = ReduceOp::sum) {
  return {.count = count, .dtype = dtype, .op = static_cast<collective::Op>(op)};
}
Array array(const void* data, std::size_t count) { return {static_cast<const std::byte*>(data), count}; }
}  // namespace

Result<void> Collectives::all_reduce(const void* in, void* out, std::size_t count, runtime::DType dtype,
                                     ReduceOp op, AllReduceAlgorithm algorithm) {
  return impl_->perform({.kind = Kind::all_reduce,
                         .algorithm = static_cast<Algorithm>(algorithm),
                         .work = work(count, dtype, op)},
                        array(in, count), array(out, count));
}

Result<void> Collectives::all_gather(const void* in, void* out, std::size_t count, runtime::DType dtype) {
  return impl_->perform({.kind = Kind::all_gather, .work = work(count, dtype)},
                        array(in, part_of(count, ranks(), rank()).count), array(out, count));
}

Result<void> Collectives::reduce_scatter(const void* in, void* out, std::size_t count, runtime::DType dtype,
                                         ReduceOp op) {
  return impl_->perform({.kind = Kind::reduce_scatter, .work = work(count, dtype, op)}, array(in, count),
                        array(out, part_of(count, ranks(), rank()).count));
}

Result<void> Collectives::broadcast(void* data, std::size_t count, runtime::DType dtype, std::uint32_t root) {
  return impl_->perform({.kind = Kind::broadcast, .root = root, .work = work(count, dtype)},
                        array(nullptr, 0), array(data, count));
}

Result<void> Collectives::all_to_all(const void* in, void* out, std::size_t count, runtime::DType dtype) {
  std::size_t all = 0;
  if (__builtin_mul_overflow(count, std::size_t{ranks()}, &all)) all = ~std::size_t{0};
  return impl_->perform({.kind = Kind::all_to_all, .work = work(count, dtype)}, array(in, all),
                        array(out, all));
}

Result<void> Collectives::barrier() {
  return impl_->perform({.kind = Kind::barrier}, array(nullptr, 0), array(nullptr, 0));
}

AllReduceAlgorithm Collectives::choose(std::size_t bytes, bool staged) const noexcept {
  return static_cast<AllReduceAlgorithm>(collective::choose(impl_->team, bytes, staged));
}

Result<void> Collectives::reset() {
  const auto barrier = [&] {
    impl_->signals.start();
    return impl_->member.barrier(impl_->signals.deadline());
  };
  if (auto met = barrier(); !met) return met;
  impl_->team.clear();
  return barrier();
}

}  // namespace troupe::comm
