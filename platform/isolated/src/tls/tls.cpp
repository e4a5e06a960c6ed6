// Streams with TLS 1.3 and certificates at both ends, on OpenSSL. A library of its own, which is loaded where
// such a stream is made: nobody else pays for it.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "net/net.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

template <auto free>
struct Freed {
  template <class T>
  void operator()(T* what) const noexcept {
    free(what);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Freed<&SSL_free>>;

/// What OpenSSL said last on this thread.
std::string last_words() {
  std::string text;
  while (const auto code = ERR_get_error()) {
    const char* const reason = ERR_reason_error_string(code);
    text = reason != nullptr ? reason : "error " + std::to_string(code);
  }
  return text;
}

/// A socket for OpenSSL. Its own would let SIGPIPE end the program when the other end has gone. Where many
/// bytes are sent it gathers what OpenSSL writes, which is 16 KiB at a time.
class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  static Socket& of(BIO* bio) { return *static_cast<Socket*>(BIO_get_data(bio)); }

  void gather() { gathers_ = true; }
  /// As `send`; what is gathered counts as sent.
  ssize_t send(const char* from, std::size_t count) {
    if (!gathers_) return send_now(from, count);
    if (kept_.size() + count > most_kept && flush() != Stream::Flushed::all) return -1;
    kept_.insert(kept_.end(), from, from + count);
    return static_cast<ssize_t>(count);
  }
  /// With errno, unless everything has left.
  Stream::Flushed flush() {
    while (begin_ != kept_.size()) {
      const auto sent = send_now(kept_.data() + begin_, kept_.size() - begin_);
      if (sent < 0) return would_block() ? Stream::Flushed::not_yet : Stream::Flushed::gone;
      begin_ += static_cast<std::size_t>(sent);
    }
    kept_.clear();
    begin_ = 0;
    return Stream::Flushed::all;
  }
  ssize_t receive(char* to, std::size_t room) const { return ::recv(descriptor_, to, room, MSG_DONTWAIT); }
  static bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

 private:
  static constexpr std::size_t most_kept = std::size_t{272} << 10U;

  ssize_t send_now(const char* from, std::size_t count) const {
    return ::send(descriptor_, from, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  const int descriptor_;
  bool gathers_ = false;
  std::vector<char> kept_;
  std::size_t begin_ = 0;  ///< what has left of it
};

BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "troupe socket");
    BIO_meth_set_write(made, [](BIO* bio, const char* from, int count) {
      BIO_clear_retry_flags(bio);
      const auto sent = Socket::of(bio).send(from, static_cast<std::size_t>(count));
      if (sent < 0 && Socket::would_block()) BIO_set_retry_write(bio);
      return static_cast<int>(sent);
    });
    BIO_meth_set_destroy(made, [](BIO* bio) {
      delete &Socket::of(bio);  // NOLINT(cppcoreguidelines-owning-memory)
      return 1;
    });
    BIO_meth_set_read(made, [](BIO* bio, char* to, int room) {
      BIO_clear_retry_flags(bio);
      const auto came = Socket::of(bio).receive(to, static_cast<std::size_t>(room));
      if (came < 0 && Socket::would_block()) BIO_set_retry_read(bio);
      return static_cast<int>(came);
    });
    BIO_meth_set_ctrl(made,
                      [](BIO*, int what, long, void*) -> long { return what == BIO_CTRL_FLUSH ? 1 : 0; });
    BIO_meth_set_create(made, [](BIO* bio) {
      BIO_set_init(bio, 1);
      return 1;
    });
    return made;
  }();
  return method;
}

/// What to do about a certificate that OpenSSL does not accept.
std::string hint_about(long problem) {
  switch (problem) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "it is for another name of the host: call the node by the name on its certificate, or make one "
             "for "
             "the name that you use (troupe certs FOLDER --node HOST)";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "make a new one (troupe certs), or set the clocks of both machines right";
    case X509_V_ERR_INVALID_PURPOSE:
      return "of `troupe certs`, --node makes certificates for nodes, --user for who runs programs";
    default:
      return "both certificates have to be of the authority that the other end gives as --ca";
  }
}

class TlsStream final : public Stream {
 public:
  TlsStream(comm::FileDescriptor socket, Connection connection)
      : socket_(std::move(socket)), connection_(std::move(connection)) {}

  int descriptor() const override { return socket_.get(); }
  bool is_local() const override { return false; }

  Sent send(std::span<iovec> parts, std::span<const int>) override {
    const std::lock_guard lock(mutex_);
    // Small ones become one record, and one packet.
    std::size_t all = 0;
    for (const auto& part : parts) all += part.iov_len;
    std::array<std::byte, 4096> together;
    if (parts.size() > 1 && all <= together.size()) {
      std::size_t at = 0;
      for (const auto& part : parts) {
        if (part.iov_len != 0) std::memcpy(together.data() + at, part.iov_base, part.iov_len);
        at += part.iov_len;
      }
      return write(together.data(), all);
    }
    Sent total;
    for (const auto& part : parts) {
      if (part.iov_len == 0) continue;
      const auto sent = write(part.iov_base, part.iov_len);
      total.bytes += sent.bytes;
      total.gone = sent.gone;
      if (sent.bytes != part.iov_len) break;
    }
    return total;
  }

  Received receive(std::span<std::byte> room) override {
    const std::lock_guard lock(mutex_);
    Received received;
    ERR_clear_error();
    const int came = SSL_read_ex(connection_.get(), room.data(), room.size(), &received.bytes);
    if (came == 1) return received;
    const int why = SSL_get_error(connection_.get(), came);
    received.nothing = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    if (!received.nothing) note();
    return received;
  }

  void gather() override {
    const std::lock_guard lock(mutex_);
    Socket::of(SSL_get_wbio(connection_.get())).gather();
  }
  Flushed flush() override {
    const std::lock_guard lock(mutex_);
    return Socket::of(SSL_get_wbio(connection_.get())).flush();
  }
  void shut() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }
  std::string problem() const override {
    const std::lock_guard lock(mutex_);
    return problem_;
  }

 private:
  Sent write(const void* from, std::size_t bytes) {
    Sent sent;
    ERR_clear_error();
    while (sent.bytes < bytes) {
      std::size_t count = 0;
      const int wrote = SSL_write_ex(connection_.get(), static_cast<const std::byte*>(from) + sent.bytes,
                                     bytes - sent.bytes, &count);
      sent.bytes += count;
      if (wrote == 1) continue;
      const int why = SSL_get_error(connection_.get(), wrote);
      sent.gone = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
      if (sent.gone) note();
      break;
    }
    return sent;
  }
  void note() {
    if (auto words = last_words(); !words.empty()) problem_ = ": " + words;
  }

  const comm::FileDescriptor socket_;
  mutable std::mutex mutex_;
  const Connection connection_;
  std::string problem_;
};

class TlsSecurity final : public Security {
 public:
  explicit TlsSecurity(Context context) : context_(std::move(context)) {}

  Result<std::unique_ptr<Stream>> connect(comm::FileDescriptor socket, const std::string& host,
                                          Deadline until) override {
    auto connection = on(socket.get());
    if (!connection) return Error(Errc::system, "no memory for a secure connection");
    auto* const expected = SSL_get0_param(connection.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) != 1) {
      ERR_clear_error();
      X509_VERIFY_PARAM_set_hostflags(
          expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
      if (X509_VERIFY_PARAM_set1_host(expected, host.c_str(), 0) != 1)
        return Error(Errc::invalid_argument, "'" + host + "' is no name of a host");
      (void)SSL_set_tlsext_host_name(connection.get(), host.c_str());
    }
    SSL_set_connect_state(connection.get());
    if (auto done = shake_hands(*connection, socket.get(), until); !done) return done.error();
    return std::unique_ptr<Stream>(std::make_unique<TlsStream>(std::move(socket), std::move(connection)));
  }

  Result<Accepted> accept(comm::FileDescriptor socket, Deadline until) override {
    auto connection = on(socket.get());
    if (!connection) return Error(Errc::system, "no memory for a secure connection");
    SSL_set_accept_state(connection.get());
    if (auto done = shake_hands(*connection, socket.get(), until); !done) return done.error();
    Accepted accepted;
    accepted.name = name_of(*connection);
    if (accepted.name.empty()) return Error(Errc::system, "a certificate without a name");
    accepted.stream = std::make_unique<TlsStream>(std::move(socket), std::move(connection));
    return accepted;
  }

 private:
  Connection on(int socket) {
    Connection connection(SSL_new(context_.get()));
    BIO* const bio = connection ? BIO_new(socket_method()) : nullptr;
    if (bio == nullptr) return nullptr;
    BIO_set_data(bio, new Socket(socket));  // NOLINT(cppcoreguidelines-owning-memory): the BIO's
    SSL_set_bio(connection.get(), bio, bio);
    return connection;
  }

  static Result<void> shake_hands(SSL& connection, int socket, Deadline until) {
    for (;;) {
      ERR_clear_error();
      const int done = SSL_do_handshake(&connection);
      if (done == 1) return {};
      const int why = SSL_get_error(&connection, done);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        if (auto ready = wait_for(socket, why == SSL_ERROR_WANT_WRITE, until); !ready)
          return Error(Errc::system, "no secure connection in time: the other end does not answer");
        continue;
      }
      const auto checked = SSL_get_verify_result(&connection);
      if (checked != X509_V_OK) {
        (void)last_words();
        return Error(Errc::system,
                     std::string("the other end's certificate is not accepted: ") +
                         X509_verify_cert_error_string(checked),
                     hint_about(checked));
      }
      const auto words = last_words();
      return Error(Errc::system, "no secure connection: " + (words.empty() ? "it was closed" : words));
    }
  }

  /// The name in the other side's certificate. A name with a zero byte in it is refused: other programs might
  /// read it as a shorter one. Who is let in is decided in `node/server.cpp`, `refusal_of`.
  static std::string name_of(SSL& connection) {
    const std::unique_ptr<X509, Freed<&X509_free>> certificate(SSL_get1_peer_certificate(&connection));
    if (!certificate) return {};
    const auto* const subject = X509_get_subject_name(certificate.get());
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
    unsigned char* text = nullptr;
    const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (length <= 0) return {};
    std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
    OPENSSL_free(text);
    return name.find('\0') == std::string::npos ? name : std::string();
  }

  const Context context_;
};

/// A key that others can read is a key that others have.
Result<void> is_private(const std::string& key) {
  struct stat facts {};
  if (::stat(key.c_str(), &facts) != 0) {
    return Error(Errc::invalid_argument,
                 "the key '" + key + "' cannot be read: " + std::strerror(errno));  // NOLINT
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  return Error(Errc::invalid_argument, "the key '" + key + "' can be read by others", "chmod 600 " + key);
}

/// Whether the other end can accept it: for what it was made, and when. The other end would say so, too, but
/// to somebody else.
Result<void> is_of_use(X509* certificate, const std::string& file, bool of_a_node) {
  const auto* const kind = of_a_node ? "a node" : "a user";
  if (certificate == nullptr ||
      X509_check_purpose(certificate, of_a_node ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT, 0) !=
          1) {
    return Error(Errc::invalid_argument, "the certificate '" + file + "' is not for " + kind,
                 hint_about(X509_V_ERR_INVALID_PURPOSE));
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return Error(Errc::invalid_argument, "the certificate '" + file + "' has expired",
                 hint_about(X509_V_ERR_CERT_HAS_EXPIRED));
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return Error(Errc::invalid_argument, "the certificate '" + file + "' is not valid yet",
                 hint_about(X509_V_ERR_CERT_NOT_YET_VALID));
  }
  return {};
}

Result<std::shared_ptr<Security>> make(const Credentials& with, bool of_a_node) {
  const auto unusable = [](const char* what, const std::string& file) {
    const auto words = last_words();
    return Error(Errc::invalid_argument, std::string("the ") + what + " '" + file + "' cannot be used" +
                                             (words.empty() ? "" : ": " + words));
  };
  if (auto fine = is_private(with.key); !fine) return fine.error();
  ERR_clear_error();
  Context context(SSL_CTX_new(of_a_node ? TLS_server_method() : TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1)
    return Error(Errc::system, "OpenSSL has no TLS 1.3");
  // Of what is safe the fastest first.
  constexpr auto ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
  if (SSL_CTX_set_ciphersuites(context.get(), ciphers) != 1)
    return Error(Errc::system, "OpenSSL lacks the ciphers of TLS 1.3");
  if (SSL_CTX_load_verify_locations(context.get(), with.authority.c_str(), nullptr) != 1)
    return unusable("authority's certificate", with.authority);
  if (SSL_CTX_use_certificate_chain_file(context.get(), with.certificate.c_str()) != 1)
    return unusable("certificate", with.certificate);
  // OpenSSL would ask at the terminal.
  bool has_password = false;
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void* asked) {
    if (asked != nullptr) *static_cast<bool*>(asked) = true;
    return -1;
  });
  SSL_CTX_set_default_passwd_cb_userdata(context.get(), &has_password);
  const int has_key = SSL_CTX_use_PrivateKey_file(context.get(), with.key.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb_userdata(context.get(), nullptr);
  if (has_password) {
    (void)last_words();
    return Error(Errc::invalid_argument, "the key '" + with.key + "' is encrypted, which is not supported",
                 "openssl pkey -in " + with.key + " -out PLAIN.key, and chmod 600 PLAIN.key");
  }
  if (has_key != 1) return unusable("key", with.key);
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return unusable("certificate of another key", with.certificate);
  if (auto fine = is_of_use(SSL_CTX_get0_certificate(context.get()), with.certificate, of_a_node); !fine)
    return fine.error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // As much as there is with each look at the socket.
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), std::size_t{256} << 10U);
  return std::shared_ptr<Security>(std::make_shared<TlsSecurity>(std::move(context)));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) Result<std::shared_ptr<Security>> troupe_make_security_1(
    const Credentials& credentials, bool of_a_node);

Result<std::shared_ptr<Security>> troupe_make_security_1(const Credentials& credentials, bool of_a_node) {
  return make(credentials, of_a_node);
}

}  // namespace troupe::platform::isolation
