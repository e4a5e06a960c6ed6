#pragma once

// How a chip that comes up in another process reports to its parent: 4096 bytes of shared memory and a
// socket. Mailbox and writer own their descriptors and mappings; a ChipBootstrapChannel is a view of memory
// that its caller keeps mapped. Each object has one user at a time; the two ends may be in different
// processes.
// Errors are Results: peer_lost for a writer that ended without a report, chip_failed with its words for one
// that reported a failure, bad_blob for bytes that make no sense. A death is seen by the socket, never by a
// timeout.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "troupe/comm/bootstrap_config.hpp"
#include "troupe/comm/environment.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/comm/host_segment.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

inline constexpr std::size_t bootstrap_mailbox_bytes = 4096;
inline constexpr std::size_t bootstrap_max_buffers = 376;
inline constexpr std::size_t bootstrap_max_message = 1023;

enum class ChipBootstrapState : std::int32_t { idle = 0, success = 1, error = 2 };

/// The report of a chip that failed to come up.
struct ChipBootstrapFailure {
  std::int32_t code = 0;
  std::string message;  ///< "<Type>: <message>"
};

/// The 4096 bytes through which a chip that comes up in another process reports, in the reference's layout
/// (docs/communication.md). A view: the owner of the memory keeps it mapped.
///
/// One writer, any number of readers. Everything is written before the state is (release), and read after it
/// (acquire). A reader trusts nothing: states and counts that cannot be are bad_blob, texts end with the
/// mailbox.
class TROUPE_API ChipBootstrapChannel {
 public:
  /// Errors: bad_argument ("mailbox must not be null", or more than 376 buffers, or misaligned memory).
  static Result<ChipBootstrapChannel> over(void* mailbox,
                                           std::size_t max_buffer_count = bootstrap_max_buffers);

  /// All zero, state idle. Only while no writer and no reader is at work.
  void reset() noexcept;
  /// Errors: bad_argument ("buffer_ptrs exceeds max_buffer_count"); nothing has been written then.
  Result<void> write_success(const ChipBootstrapResult& result) noexcept;
  /// The text is cut at 1023 bytes.
  void write_error(std::int32_t code, std::string_view message) noexcept;

  /// Errors: bad_blob.
  Result<ChipBootstrapState> state() const;
  /// The result; nothing while idle. Errors: bad_blob, chip_failed (with the chip's message).
  Result<std::optional<ChipBootstrapResult>> read() const;
  /// The chip's report of its failure; nothing unless the state is error.
  std::optional<ChipBootstrapFailure> failure() const;

 private:
  ChipBootstrapChannel(std::byte* mailbox, std::size_t max_buffer_count) noexcept
      : mailbox_(mailbox), max_buffers_(max_buffer_count) {}

  std::byte* mailbox_;
  std::size_t max_buffers_;
};

/// The chip's end of a mailbox: reports once. Ending without a report (the process dies, the object goes) is
/// itself noticed by the reader.
class TROUPE_API BootstrapWriter {
 public:
  BootstrapWriter(BootstrapWriter&& other) noexcept;
  BootstrapWriter& operator=(BootstrapWriter&& other) noexcept;
  ~BootstrapWriter();

  /// In a child process, from the two descriptors it inherited. Errors: bad_argument, bad_blob, system.
  static Result<BootstrapWriter> open(FileDescriptor memory, FileDescriptor doorbell);
  /// From the name the reader gave its mailbox. Errors: HostSegment::attach's, bad_blob, foreign_peer,
  /// system.
  static Result<BootstrapWriter> attach(std::string_view name);

  Result<void> success(const ChipBootstrapResult& result);
  Result<void> error(std::int32_t code, std::string_view message);

  /// The two descriptors that the child must inherit (both are close-on-exec here).
  int memory() const noexcept { return memory_.get(); }
  int doorbell() const noexcept { return doorbell_.get(); }

 private:
  BootstrapWriter() = default;
  Result<void> map();
  void ring() noexcept;

  FileDescriptor memory_, doorbell_;
  HostSegment segment_;  ///< of a named mailbox; otherwise memory_ is mapped
  void* mapping_ = nullptr;
};

/// The parent's end: owns the mailbox, waits for the report, and notices a writer that ends without one.
///
/// The death signal is a socket: a report rings it, and the end of the writer (exit, kill -9, crash) closes
/// it. Nothing polls, and no clock is used to discover a death.
///
/// Named mailboxes are for writers that cannot inherit descriptors: the memory is a HostSegment of that name,
/// the socket is abstract, known from the segment, and accepts only processes of this user. A writer that
/// dies before it attaches cannot be seen through it: give `watch` its process id.
class TROUPE_API BootstrapMailbox {
 public:
  BootstrapMailbox(BootstrapMailbox&& other) noexcept;
  BootstrapMailbox& operator=(BootstrapMailbox&& other) noexcept;
  ~BootstrapMailbox();

  /// `who` names the chip in errors: "chip 3". Errors: no_memory, system.
  static Result<BootstrapMailbox> create(std::string who);
  /// Errors: as create, and HostSegment::create's.
  static Result<BootstrapMailbox> create_named(std::string who, std::string_view name);

  /// The writer's end, once, of a mailbox without a name: hand it to a thread, or start a process that
  /// inherits its descriptors and then drop it here. Errors: wrong_state.
  Result<BootstrapWriter> writer();
  /// Also notices the end of this process. Errors: system (no such process).
  Result<void> watch(int process_id);

  /// Readable when `poll` has something new to say; for event loops. -1 once the report is there.
  int descriptor() const noexcept;
  /// The result if it is there; does not block. Errors: chip_failed ("chip 3 bootstrap failed: …"),
  /// peer_lost (the writer ended without a report), bad_blob, system.
  Result<std::optional<ChipBootstrapResult>> poll();
  /// Blocks for it. Errors: as poll, and deadline.
  Result<ChipBootstrapResult> wait(Deadline until = never);

 private:
  BootstrapMailbox() = default;
  Result<void> open_poll_set();
  Result<void> add(int descriptor);
  Result<void> accept_writer();
  Result<std::optional<ChipBootstrapResult>> look();

  std::string who_;
  FileDescriptor memory_, doorbell_, writer_doorbell_, listener_, process_, set_;
  HostSegment segment_;
  void* mapping_ = nullptr;
};

}  // namespace troupe::comm
