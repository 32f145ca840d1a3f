# frozen_string_literal: true

require "tempfile"

module Cygni
  # Methods that are more than one call, beside the generated ones.
  module Helpers
    # client.deployments
    module Deployments
      LOOK_SECONDS = 1
      private_constant :LOOK_SECONDS

      # Waits until the deployment has ended, and returns it. A look that finds nothing new is not charged.
      #
      # until: "success" raises DeploymentFailedError for any other end, "finished" returns whatever the end is.
      # timeout: seconds until WaitTimeoutError; nil waits as long as it takes.
      def wait(deployment_id, until: "success", timeout: nil)
        ends_at = timeout && (now + timeout)
        deployment = etag = nil
        loop do
          headers = etag ? { "If-None-Match" => etag } : {}
          response = @client.request("GET", "/deployments/#{Encoder.segment(deployment_id)}", headers: headers)
          if response.status != 304
            deployment = read(response, Models::Deployment)
            etag = response.etag
          end
          break if deployment.finished_at
          raise WaitTimeoutError.new(deployment, timeout) if ends_at && now + LOOK_SECONDS > ends_at

          sleep(LOOK_SECONDS)
        end
        wants_success = binding.local_variable_get(:until).to_s == "success"
        raise DeploymentFailedError, deployment if wants_success && deployment.status != "success"

        deployment
      end

      private

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    # client.uploads
    module Uploads
      # Packs a directory, without what .gitignore and .cygniignore leave out, and uploads it, going on after a broken
      # connection. The block is told how many bytes the server has, and of how many. Raises ArchiveError for what
      # cannot be packed.
      def from_directory(path, &on_progress)
        Tempfile.create("cygni-upload", binmode: true) do |file|
          Archive.pack(path.to_s, file)
          read(Upload.new(@client, file, Behavior::UPLOAD_CONTENT_TYPE, on_progress).send_all, Models::Upload)
        end
      end
    end

    # client.webhooks
    module Webhooks
      # As Cygni::Webhooks.verify.
      def verify(body, headers, secret, **options) = Cygni::Webhooks.verify(body, headers, secret, **options)

      # As Cygni::Webhooks.unwrap.
      def unwrap(body, headers, secret, **options) = Cygni::Webhooks.unwrap(body, headers, secret, **options)
    end
  end
end
