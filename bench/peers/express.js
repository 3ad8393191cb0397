'use strict';
const express = require('express');
const menu = require('./menu');
const run = require('./processes');

const app = express();
app.disable('etag'); // no client of ours would ask with If-None-Match
app.disable('x-powered-by');
app.use(express.urlencoded({ extended: false }));
app.post('/ussd', async (request, response) => {
  response.type('text/plain').send(await menu.run(request.body));
});

run((ready) => {
  const server = app.listen(0, '127.0.0.1', () => ready(server.address().port));
});
