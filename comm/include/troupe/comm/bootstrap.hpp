#pragma once

// Bring-up of one chip: device, communicator, window, named buffers, in one call. A ChipBootstrap owns all
// that it brought up and gives it back in reverse order; it borrows the device, which must outlive it. One
// thread at a time. run() and shutdown() are collective and block until the other ranks come, fail or run out
// of time.
// Errors are Results with a message of the form "<Type>: <message>"; after one, nothing is left behind.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "troupe/comm/bootstrap_channel.hpp"
#include "troupe/comm/bootstrap_config.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

/// A communicator as bring-up needs it. Destroying the object leaves at once, without waiting for other
/// ranks.
class TROUPE_API BootstrapCommunicator {
 public:
  virtual ~BootstrapCommunicator();

  /// Collective: makes the windows; the address of the chip's CommContext.
  virtual Result<std::uint64_t> alloc_windows(std::uint64_t bytes) = 0;
  virtual Result<std::uint64_t> local_window_base() = 0;
  /// May be larger or smaller than the size that was asked for.
  virtual Result<std::uint64_t> window_size() = 0;
  /// Collective teardown.
  virtual Result<void> destroy() = 0;
};

/// The few operations that bring-up needs of a chip, so that this floor need not know platforms. A platform,
/// a chip actor or a test implements it. Calls come one at a time.
class TROUPE_API BootstrapDevice {
 public:
  virtual ~BootstrapDevice();

  virtual Result<void> set_device(int device_id) = 0;
  virtual Result<void> copy_to(std::uint64_t device, const void* host, std::size_t bytes) = 0;
  virtual Result<void> copy_from(void* host, std::uint64_t device, std::size_t bytes) = 0;
  /// Makes the communicator; it joins no other rank yet.
  virtual Result<std::unique_ptr<BootstrapCommunicator>> communicator(
      const ChipCommBootstrapConfig& config) = 0;
};

/// A communicator over `Communicator`: ranks that are threads or processes of this machine, windows in host
/// memory. A device whose memory is host memory returns it from `communicator`.
TROUPE_API Result<std::unique_ptr<BootstrapCommunicator>> make_bootstrap_communicator(
    const ChipCommBootstrapConfig& config, CommOptions options,
    const Environment& environment = Environment::machine());

/// A chip that came up: device set, communicator joined, windows made, buffers carved and filled. One-shot.
///
/// Bring-up checks everything it can — the whole config, and that every shared memory it names is there and
/// large enough — before its first collective step, so a rank with a bad config fails alone and at once, and
/// its peers learn it from the communicator instead of waiting.
///
/// Errors have the reference's form: the message is "<Type>: <message>" (ValueError and KeyError for a wrong
/// config, RuntimeError for an error of the device or the communicator), and a channel gets code 1 and that
/// message. A failure releases exactly the things that were acquired, in reverse order, without waiting for
/// peers.
///
/// One thread at a time; the device must outlive it.
class TROUPE_API ChipBootstrap {
 public:
  static Result<ChipBootstrap> run(BootstrapDevice& device, int device_id, ChipBootstrapConfig config);
  /// The same, reporting through `channel`, success and failure alike.
  static Result<ChipBootstrap> run(BootstrapDevice& device, int device_id, ChipBootstrapConfig config,
                                   BootstrapWriter& channel);

  ChipBootstrap(ChipBootstrap&&) noexcept;
  ChipBootstrap& operator=(ChipBootstrap&&) noexcept;
  ~ChipBootstrap();  ///< leaves at once: stores nothing to the host, waits for no other rank

  const ChipBootstrapResult& result() const noexcept;
  const ChipBootstrapConfig& config() const noexcept;
  ChipContext context() const;

  /// Copies every buffer with `store_to_host` to its staging. Not collective. The first error, after trying
  /// all.
  Result<void> store_to_host();
  /// One of them. Errors: KeyError for a buffer that is not there or is not stored to the host.
  Result<void> store_to_host(std::string_view name);

  /// Stores to the host, then destroys the communicator (collective). Everything is released whatever fails;
  /// the first error is returned. Idempotent: a second call does nothing and succeeds, also after a failure.
  Result<void> shutdown();

 private:
  struct Impl;
  explicit ChipBootstrap(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::comm
