#include "kernel_team.hpp"

namespace troupe::comm::kernels {

namespace {

constexpr std::uint32_t reason(Errc code) noexcept { return static_cast<std::uint32_t>(code); }

template <class Team>
[[noreturn]] void fail(Team& team, int status) {
  const auto mismatch = ErrorCode{static_cast<std::int32_t>(Errc::mismatch), "mismatch"};
  if (status == collective::broken) {
    throw Error(ErrorCode{static_cast<std::int32_t>(Errc::wrong_state), "wrong_state"},
                "an earlier collective on this workspace failed half-way",
                "make a new domain, or reset the workspace from the host on every rank");
  }
  const std::string peer = "rank " + std::to_string(team.peer());
  if (status == collective::disagreement) {
    throw Error(mismatch, peer + " makes another collective call, or with other arguments",
                "every rank makes the same calls in the same order, with the same sizes, types and offsets");
  }
  throw Error(ErrorCode{static_cast<std::int32_t>(team.peer_reason()), "gave_up"},
              peer + " gave up this collective (code " + std::to_string(team.peer_reason()) + ")");
}

}  // namespace

void perform(KernelArgs& args, Call call, const Array& workspace, std::initializer_list<Array> arrays) {
  const CommContext& comm = context(args);
  const std::uint64_t window = comm.windows_in[comm.rank];
  if (!in_window(comm, workspace.data, workspace.bytes()))
    refuse("the workspace is not in this rank's window");
  const std::uint64_t offset = reinterpret_cast<std::uint64_t>(workspace.data) - window;
  if (offset % collective::line_bytes != 0) refuse("the workspace is not 64-byte aligned in its window");
  if (workspace.bytes() < collective::lines_bytes) {
    refuse("the workspace has " + std::to_string(workspace.bytes()) + " bytes, 4096 or more are needed");
  }
  for (const Array& each : arrays) call.staged = call.staged || !in_window(comm, each.data, each.bytes());

  KernelSignals signals(args, comm);
  collective::Team<KernelSignals> team(signals, comm.rank, comm.rank_count, comm.windows_in, offset,
                                       workspace.bytes());
  if (call.kind == collective::Kind::all_reduce && call.algorithm == collective::Algorithm::automatic) {
    call.algorithm = collective::choose(team, call.work.bytes(), call.staged);
  }
  if (team.half_bytes() < collective::half_bytes_needed(call, comm.rank_count)) {
    refuse("the workspace has too little scratch for this call",
           "arrays outside the window and one_phase need scratch behind the first 4096 bytes");
  }
  if (comm.rank_count == 1) return collective::run_alone(call);
  const int status = collective::run(team, call, window);
  if (status == collective::ok) return;
  const bool by_wait = args.status() != runtime::WaitStatus::ready;
  // Who is lost is the domain's to say, to every rank: a peer that heard of it later would name this one.
  if (by_wait && args.status() == runtime::WaitStatus::peer_lost) return;
  team.leave(reason(by_wait ? Errc::aborted : Errc::mismatch));
  if (!by_wait) fail(team, status);
}

}  // namespace troupe::comm::kernels
