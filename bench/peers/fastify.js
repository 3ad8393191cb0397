'use strict';
const fastify = require('fastify')({ logger: false });
const menu = require('./menu');
const run = require('./processes');

fastify.register(require('@fastify/formbody'));
fastify.post('/ussd', async (request, reply) => {
  reply.type('text/plain; charset=utf-8');
  return menu.run(request.body);
});

run((ready) => {
  fastify.listen({ port: 0, host: '127.0.0.1' }, () => ready(fastify.server.address().port));
});
