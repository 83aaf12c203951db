-- What each node has: a table whose rows are for other nodes, and what came from them.

create table message (
    id      serial primary key,
    target  text not null,          -- name of the node that it is for
    body    text not null
);

create table received (
    node    text not null,          -- this node, as the event said
    message jsonb not null
);

create function push_message() returns trigger as $$
begin
    perform pgq.insert_event('push', 'message', to_jsonb(new)::text, new.target, null, null, null);
    return null;
end;
$$ language plpgsql;

create trigger push after insert on message for each row execute function push_message();

create function __data_copier(node text, data text) returns void as $$
begin
    insert into received values (node, data::jsonb);
end;
$$ language plpgsql;
