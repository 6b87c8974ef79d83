/* Names of OpenSSL's libraries and errors, for SSLError.library and .reason. CPython's own tables
   have 1,400 of them, which cost 2.4 million instructions at every import of _ssl, an eighth of
   a whole exchange. What is not here is told by OpenSSL's own text. */

static struct py_ssl_library_code library_codes[] = {
    {"SSL", ERR_LIB_SSL},
    {"X509", ERR_LIB_X509},
    {"PEM", ERR_LIB_PEM},
    {"ASN1", ERR_LIB_ASN1},
    {NULL, 0},
};

static struct py_ssl_error_code error_codes[] = {
    {"CERTIFICATE_VERIFY_FAILED", ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED},
    {"NO_CERTIFICATE_OR_CRL_FOUND", ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND},
    {"NO_SHARED_CIPHER", ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER},
    {"NO_START_LINE", ERR_LIB_PEM, PEM_R_NO_START_LINE},
    {"UNEXPECTED_EOF_WHILE_READING", ERR_LIB_SSL, SSL_R_UNEXPECTED_EOF_WHILE_READING},
    {"UNSUPPORTED_PROTOCOL", ERR_LIB_SSL, SSL_R_UNSUPPORTED_PROTOCOL},
    {"WRONG_VERSION_NUMBER", ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER},
    {NULL, 0, 0},
};
