#pragma once

// Makes the protocol's structs sendable. They never leave the process, so none is serialisable. A message
// that is missing in the list below does not compile where it is sent. Included by actors only; no state, no
// errors.

// Makes the protocol's structs sendable. They never leave the process, so none is serialisable.
#include <caf/all.hpp>

#include "troupe/actors/protocol.hpp"

// clang-format off
#define TROUPE_ACTORS_MESSAGES(X) \
  X(Results) X(Execute) X(Cancel) X(Describe) X(GetStatus) X(Why) X(ExecutorInfo) \
  X(ExecutorStatus) X(StageBuffer) X(BringUp) X(ResetChip) X(FinalizeChip) \
  X(DeviceMalloc) X(DeviceFree) X(DeviceCopy) X(WindowCreate) X(WindowImport) X(WindowAbort) \
  X(WindowRelease) X(Credit) X(Wake) X(StopProgram) X(Submit) X(ReadDone) \
  X(ProgramEnded) X(CancelRun) X(Placed) X(RunResults) X(Form) X(MemberReset) X(Dissolve) \
  X(Hold) X(OpenRun) X(Ready) X(RunClosed) X(StartWorker) X(AddExecutor) X(RemoveExecutor) \
  X(ResetExecutor) X(StoreBuffers) X(AllocateDomain) X(ReleaseDomain) X(HoldDomain) X(SetDriver) X(OpenDomain) X(ChipOf) \
  X(Barrier) X(Withdraw) X(EnterBarrier) X(BarrierOf) \
  X(DataOrders) X(Stored) X(RoomWanted) X(BringHome) X(SettleRun) X(ForgetBuffer) \
  X(StopWorker)
// clang-format on

#define TROUPE_ACTORS_SENDABLE(name) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::name)
TROUPE_ACTORS_MESSAGES(TROUPE_ACTORS_SENDABLE)
#undef TROUPE_ACTORS_SENDABLE
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Error)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<bool>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<std::uint64_t>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<std::int32_t>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<troupe_window_view>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<troupe::actors::ExecutorInfo>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<troupe::actors::WindowOffer>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<troupe::actors::DomainInfo>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<troupe::actors::RunOpened>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::Result<troupe::actors::ChipAccess>)

namespace troupe::actors {

/// The reason with which an actor ends, as its supervisor and its `down` message see it.
inline caf::error exit_with(const Error& error) {
  return caf::error{1, caf::atom("troupe"), caf::make_message(error)};
}
/// The error behind a CAF error; `fallback` when CAF made it itself (actor killed, gone, …).
TROUPE_API Error error_from(const caf::error& error, const Error& fallback);

}  // namespace troupe::actors
