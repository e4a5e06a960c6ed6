// The two ends of a bootstrap mailbox: memory plus a socket whose end is the death signal.

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "system_error.hpp"
#include "troupe/comm/bootstrap_channel.hpp"

namespace troupe::comm {

namespace {

struct Address {
  sockaddr_un address{};
  socklen_t length = 0;
};

/// Abstract: in no file system, gone with its socket. Known from the segment, hence not guessed by accident.
Address doorbell_address(std::uint64_t nonce) {
  std::array<char, 20> number{};
  const auto end = std::to_chars(number.data(), number.data() + number.size(), nonce, 16).ptr;
  const std::string name = "troupe-bootstrap-" + std::to_string(::geteuid()) + "-" +
                           std::string(number.data(), static_cast<std::size_t>(end - number.data()));
  Address result;
  result.address.sun_family = AF_UNIX;
  std::memcpy(result.address.sun_path + 1, name.data(), name.size());
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return result;
}

bool same_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

void* map_mailbox(int memory) {
  void* mapping = ::mmap(nullptr, bootstrap_mailbox_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  return mapping == MAP_FAILED ? nullptr : mapping;
}

void unmap_mailbox(void*& mapping) noexcept {
  if (mapping != nullptr) ::munmap(std::exchange(mapping, nullptr), bootstrap_mailbox_bytes);
}

void* memory_of(void* mapping, const HostSegment& segment) {
  return mapping != nullptr ? mapping : segment.bytes().data();
}

}  // namespace

// ---- the chip's end -------------------------------------------------------------------------------------

BootstrapWriter::BootstrapWriter(BootstrapWriter&& other) noexcept
    : memory_(std::move(other.memory_)),
      doorbell_(std::move(other.doorbell_)),
      segment_(std::move(other.segment_)),
      mapping_(std::exchange(other.mapping_, nullptr)) {}

BootstrapWriter& BootstrapWriter::operator=(BootstrapWriter&& other) noexcept {
  if (this != &other) {
    unmap_mailbox(mapping_);
    memory_ = std::move(other.memory_);
    doorbell_ = std::move(other.doorbell_);
    segment_ = std::move(other.segment_);
    mapping_ = std::exchange(other.mapping_, nullptr);
  }
  return *this;
}

BootstrapWriter::~BootstrapWriter() { unmap_mailbox(mapping_); }

Result<void> BootstrapWriter::map() {
  // A memfd that cannot shrink and is large enough: no later touch can fault.
  struct stat status {};
  const int seals = ::fcntl(memory_.get(), F_GET_SEALS);
  if (::fstat(memory_.get(), &status) != 0 || seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
      status.st_size < static_cast<off_t>(bootstrap_mailbox_bytes)) {
    return Error(Errc::bad_blob, "bootstrap: the inherited memory is no mailbox");
  }
  mapping_ = map_mailbox(memory_.get());
  if (mapping_ == nullptr) return system_error("bootstrap: mapping the mailbox", errno);
  return {};
}

Result<BootstrapWriter> BootstrapWriter::open(FileDescriptor memory, FileDescriptor doorbell) {
  if (!memory.valid() || !doorbell.valid()) {
    return Error(Errc::bad_argument, "bootstrap: a descriptor of the mailbox is missing");
  }
  BootstrapWriter writer;
  writer.memory_ = std::move(memory);
  writer.doorbell_ = std::move(doorbell);
  if (auto mapped = writer.map(); !mapped) return mapped.error();
  return writer;
}

Result<BootstrapWriter> BootstrapWriter::attach(std::string_view name) {
  auto segment = HostSegment::attach(name, bootstrap_mailbox_bytes);
  if (!segment) return segment.error();
  if (segment->nonce() == 0) {
    return Error(Errc::bad_blob, "shared memory '" + segment->name() + "' is no bootstrap mailbox");
  }
  BootstrapWriter writer;
  writer.doorbell_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!writer.doorbell_.valid()) return system_error("bootstrap: opening a socket", errno);
  const Address address = doorbell_address(segment->nonce());
  const int fd = writer.doorbell_.get();
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address.address), address.length) != 0) {
    return system_error("bootstrap: nobody reads mailbox '" + segment->name() + "'", errno);
  }
  if (!same_user(fd)) {
    return Error(Errc::foreign_peer, "bootstrap: another user reads mailbox '" + segment->name() + "'");
  }
  writer.segment_ = std::move(*segment);
  return writer;
}

Result<void> BootstrapWriter::success(const ChipBootstrapResult& result) {
  auto channel = ChipBootstrapChannel::over(memory_of(mapping_, segment_));
  if (!channel) return channel.error();
  auto written = channel->write_success(result);
  if (written) ring();
  return written;
}

Result<void> BootstrapWriter::error(std::int32_t code, std::string_view message) {
  auto channel = ChipBootstrapChannel::over(memory_of(mapping_, segment_));
  if (!channel) return channel.error();
  channel->write_error(code, message);
  ring();
  return {};
}

void BootstrapWriter::ring() noexcept {
  const char bell = 1;
  // A reader that is gone does not matter to the chip.
  while (::send(doorbell_.get(), &bell, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR) {
  }
}

// ---- the parent's end -----------------------------------------------------------------------------------

BootstrapMailbox::BootstrapMailbox(BootstrapMailbox&& other) noexcept
    : who_(std::move(other.who_)),
      memory_(std::move(other.memory_)),
      doorbell_(std::move(other.doorbell_)),
      writer_doorbell_(std::move(other.writer_doorbell_)),
      listener_(std::move(other.listener_)),
      process_(std::move(other.process_)),
      set_(std::move(other.set_)),
      segment_(std::move(other.segment_)),
      mapping_(std::exchange(other.mapping_, nullptr)) {}

BootstrapMailbox& BootstrapMailbox::operator=(BootstrapMailbox&& other) noexcept {
  if (this != &other) {
    unmap_mailbox(mapping_);
    who_ = std::move(other.who_);
    memory_ = std::move(other.memory_);
    doorbell_ = std::move(other.doorbell_);
    writer_doorbell_ = std::move(other.writer_doorbell_);
    listener_ = std::move(other.listener_);
    process_ = std::move(other.process_);
    set_ = std::move(other.set_);
    segment_ = std::move(other.segment_);
    mapping_ = std::exchange(other.mapping_, nullptr);
  }
  return *this;
}

BootstrapMailbox::~BootstrapMailbox() { unmap_mailbox(mapping_); }

Result<void> BootstrapMailbox::add(int descriptor) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.fd = descriptor;
  if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) {
    return system_error("bootstrap: watching " + who_, errno);
  }
  return {};
}

Result<void> BootstrapMailbox::open_poll_set() {
  set_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!set_.valid()) return system_error("bootstrap: watching " + who_, errno);
  return add(doorbell_.valid() ? doorbell_.get() : listener_.get());
}

Result<BootstrapMailbox> BootstrapMailbox::create(std::string who) {
  BootstrapMailbox mailbox;
  mailbox.who_ = std::move(who);
  auto memory = Environment::machine().create_memory("troupe-bootstrap", bootstrap_mailbox_bytes);
  if (!memory) return memory.error();
  mailbox.memory_ = std::move(*memory);
  mailbox.mapping_ = map_mailbox(mailbox.memory_.get());
  if (mailbox.mapping_ == nullptr) return system_error("bootstrap: mapping the mailbox", errno);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error("bootstrap: opening a socket", errno);
  }
  mailbox.doorbell_.reset(ends[0]);
  mailbox.writer_doorbell_.reset(ends[1]);
  if (auto opened = mailbox.open_poll_set(); !opened) return opened.error();
  return mailbox;
}

Result<BootstrapMailbox> BootstrapMailbox::create_named(std::string who, std::string_view name) {
  BootstrapMailbox mailbox;
  mailbox.who_ = std::move(who);
  auto segment = HostSegment::create(name, bootstrap_mailbox_bytes);
  if (!segment) return segment.error();
  mailbox.segment_ = std::move(*segment);
  mailbox.listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = mailbox.listener_.get();
  if (fd < 0) return system_error("bootstrap: opening a socket", errno);
  const Address address = doorbell_address(mailbox.segment_.nonce());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.address), address.length) != 0 ||
      ::listen(fd, 4) != 0) {
    return system_error("bootstrap: listening for " + mailbox.who_, errno);
  }
  if (auto opened = mailbox.open_poll_set(); !opened) return opened.error();
  return mailbox;
}

Result<BootstrapWriter> BootstrapMailbox::writer() {
  if (!writer_doorbell_.valid()) {
    return Error(Errc::wrong_state, "bootstrap: the writer's end of " + who_ + " is not here",
                 "it is handed out once, and a named mailbox is attached to by name");
  }
  FileDescriptor memory(::fcntl(memory_.get(), F_DUPFD_CLOEXEC, 0));
  if (!memory.valid()) return system_error("bootstrap: the writer's end of " + who_, errno);
  return BootstrapWriter::open(std::move(memory), std::move(writer_doorbell_));
}

Result<void> BootstrapMailbox::watch(int process_id) {
  process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, process_id, 0)));
  if (!process_.valid()) return system_error("bootstrap: watching process of " + who_, errno);
  return add(process_.get());
}

int BootstrapMailbox::descriptor() const noexcept { return set_.get(); }

Result<void> BootstrapMailbox::accept_writer() {
  for (;;) {
    FileDescriptor peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer.valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return {};
      return system_error("bootstrap: meeting " + who_, errno);
    }
    if (!same_user(peer.get())) continue;
    listener_.reset();  // one writer; leaves the poll set with it
    doorbell_ = std::move(peer);
    return add(doorbell_.get());
  }
}

/// The report, or what the sockets say about who should write it.
Result<std::optional<ChipBootstrapResult>> BootstrapMailbox::look() {
  auto channel = ChipBootstrapChannel::over(memory_of(mapping_, segment_));
  if (!channel) return channel.error();
  auto result = channel->read();
  if (!result && result.error() == Errc::chip_failed) {
    return Error(Errc::chip_failed, who_ + " bootstrap failed: " + result.error().message());
  }
  return result;
}

Result<std::optional<ChipBootstrapResult>> BootstrapMailbox::poll() {
  if (listener_.valid()) {
    if (auto accepted = accept_writer(); !accepted) return accepted.error();
  }
  // Whether the writer has ended must be asked before the mailbox is: it may report and end in between.
  bool ended = !set_.valid();
  if (doorbell_.valid() && !ended) {
    char bell = 0;
    const ssize_t n = ::recv(doorbell_.get(), &bell, 1, MSG_DONTWAIT);
    ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  }
  if (process_.valid() && !ended) {
    pollfd process{.fd = process_.get(), .events = POLLIN, .revents = 0};
    ended = ::poll(&process, 1, 0) == 1;
  }
  auto result = look();
  if (result && !result->has_value()) {
    if (!ended) return result;
    result = Error(Errc::peer_lost, who_ + " ended before it reported whether it came up",
                   "its log or its exit status may say why");
  }
  set_.reset();  // nothing more will come
  return result;
}

Result<ChipBootstrapResult> BootstrapMailbox::wait(Deadline until) {
  for (;;) {
    auto result = poll();
    if (!result) return result.error();
    if (result->has_value()) return std::move(**result);
    if (writer_doorbell_.valid()) {
      return Error(Errc::wrong_state, who_ + " cannot report: nobody has taken the writer's end");
    }
    int timeout = -1;
    if (until != never) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
      if (left <= 0) {
        return Error(Errc::deadline, who_ + " did not report in time whether it came up",
                     "it lives; is it waiting for another rank?");
      }
      timeout = static_cast<int>(std::min<std::int64_t>(left, 1 << 30));
    }
    epoll_event event{};
    if (::epoll_wait(set_.get(), &event, 1, timeout) < 0 && errno != EINTR) {
      return system_error("bootstrap: waiting for " + who_, errno);
    }
  }
}

}  // namespace troupe::comm
