(** rules.md, separable_counts, "Parts": the sequences of a block in parts, by tokens that occur in them; in each part the
    classes that may reach 0 are counted. *)

From Coq Require Import ZArith List Lia Bool Arith.
From Compact Require Import Integer.Matrix Real.ScaledExp Count.Counting Count.Packed Count.Reaching Facts.
Import ListNotations.
Open Scope Z_scope.

(** What is counted, the number of a class or a wrong token; and how a sum is rounded. *)
Record cut := Cut { target : Z; step_of : Z; phases : list Z }.

(** The sequences in which [its_token] occurs before the query, or if it is negative all that are left. *)
Record part := Part { its_token : Z; above : list cut; below : list cut }.

Definition token_of (p : part) : option nat := if its_token p <? 0 then None else Some (Z.to_nat (its_token p)).

(** ** No choice has a larger sum *)

Definition peak (t : table) : Z := largest (map snd t).

(** How far below the peak of its table the name is at least. *)
Definition fall (tables : list table) (name : nat) : Z :=
  largest (flat_map (fun t => let top := peak t in
    map (fun one => snd one - top) (filter (fun one => Nat.eqb (fst one) name) t)) tables).

Definition largest_sum (tables : list table) (uses : list nat) (m : nat) (also : option nat) : Z :=
  let peaks := map peak tables in
  add_up (map (fun i => nth i peaks 0) uses) + fall tables m + match also with None => 0 | Some t => fall tables t end.

(** ** The program *)

Definition without (names : list nat) (tables : list table) : list table :=
  match names with
  | [] => tables
  | _ => map (filter (fun one => negb (existsb (Nat.eqb (fst one)) names))) tables
  end.

Fixpoint sum_of (f : cut -> outcome Z) (cuts : list cut) : outcome Z :=
  match cuts with
  | [] => Fine 0
  | c :: rest =>
      match f c with
      | Refused why => Refused why
      | Fine n => match sum_of f rest with Refused why => Refused why | Fine more => Fine (n + more) end
      end
  end.

Section Program.
Variables (limit : Z) (kinds : list (list Z * list table)) (least : Z -> list table) (may_be_below : Z -> bool).
Variables (uses : list nat) (runs : list (nat * positive)) (m : nat) (all_wrong : Z).

(** The wrong tokens of classes that are counted in a part, or stay behind there. *)
Definition held_in (p : part) (here : list (list table)) : Z :=
  fold_right (fun (one : nat * (list Z * list table)) held =>
    let '(j, (kind, tables)) := one in
    if existsb (fun c => target c =? Z.of_nat j) (above p) || (largest_sum tables uses m (token_of p) <? 0)
    then Z.lor (hd 0 kind) held else held) 0
    (combine (seq 0 (length kinds)) (combine (map fst kinds) here)).

(** What the parts lose, and what of them is surely wrong. [gone] are the tokens of parts before. *)
Fixpoint count_parts (gone : list nat) (parts : list part) : outcome (Z * Z) :=
  match parts with
  | [] => Refused not_a_partition
  | p :: rest =>
      let also := token_of p in
      require (match also with None => true | Some t => negb (Nat.eqb t m) end) not_a_partition
      (require (forallb (fun c => (0 <=? target c) && (target c <? Z.of_nat (length kinds)) && (0 <? step_of c)) (above p)) no_such_class
      (require (forallb (fun c => may_be_below (target c) && (0 <? step_of c)) (below p)) no_such_class
      (let here := map (fun kind => without gone (snd kind)) kinds in
      require (held_in p here =? all_wrong) wrong_token_left_out
      match sum_of (fun c => count_reaching true limit (nth (Z.to_nat (target c)) here []) uses runs (step_of c) (phases c) m also) (above p) with
      | Refused why => Refused why
      | Fine lost =>
          match match below p with
                | [] => Fine 0
                | [c] => count_reaching false limit (without gone (least (target c))) uses runs (step_of c) (phases c) m also
                | _ => Refused no_such_class
                end with
          | Refused why => Refused why
          | Fine missed =>
              match also with
              | None => Fine (lost, missed)
              | Some t =>
                  match count_parts (t :: gone) rest with
                  | Refused why => Refused why
                  | Fine (lost', missed') => Fine (lost + lost', missed + missed')
                  end
              end
          end
      end)))
  end.
End Program.

(** ** Counts of choices with properties *)

Section Counts.
Context {A : Type}.

Lemma count_filtered : forall (ok : A -> bool) rows P,
  count P (map (filter ok) rows) = count (fun cs => forallb ok cs && P cs) rows.
Proof.
  intros ok. induction rows as [|row rows IH]; intros P; [reflexivity|]. cbn [map count].
  induction row as [|a row IHrow]; [reflexivity|]. cbn [filter map add_up]. cbn [forallb].
  destruct (ok a); cbn [map add_up andb].
  - rewrite IHrow, IH. reflexivity.
  - rewrite IHrow.
    assert (Z0 : forall l : list (list A), count (fun _ => false) l = 0).
    { intros l. rewrite count_filter. induction (product l) as [|x l' IH']; [reflexivity | exact IH']. }
    now rewrite Z0.
Qed.

Lemma count_union : forall (I : Type) (P : list A -> bool) (Q : I -> list A -> bool) is rows,
  count (fun cs => P cs && existsb (fun i => Q i cs) is) rows <= add_up (map (fun i => count (fun cs => P cs && Q i cs) rows) is).
Proof.
  intros I P Q is rows. induction is as [|i is IH]; cbn [existsb map add_up].
  - rewrite (count_ext _ (fun _ => false)) by (intros; apply andb_false_r). rewrite count_filter.
    induction (product rows) as [|x l IH]; [apply Z.le_refl | exact IH].
  - rewrite (count_split _ (Q i)). apply Z.add_le_mono.
    + apply count_le. intros cs _ T. rewrite !andb_true_iff in *. tauto.
    + apply Z.le_trans with (2 := IH). apply count_le. intros cs _ T. rewrite !andb_true_iff, negb_true_iff in T.
      destruct T as [[T1 T2] T3]. rewrite T1. rewrite T3 in T2. exact T2.
Qed.
End Counts.

Section Largest.
Context {A : Type}.
Variables (row : nat -> list A) (table_of : A -> nat) (name : A -> nat).
Variables (uses : list nat) (m : nat).
Hypothesis its_table : forall i a, In a (row i) -> table_of a = i.
Notation rows := (map row uses).

(** Tables that say of each member its name and a number. *)
Definition right_tables (number : A -> Z) (tables : list table) : Prop :=
  forall i, In i uses -> (i < length tables)%nat /\ nth i tables [] = map (fun a => (name a, number a)) (row i).

Lemma fall_le_0 : forall tables n, fall tables n <= 0.
Proof.
  intros tables n. unfold fall. set (l := flat_map _ tables).
  assert (all : Forall (fun x => x <= 0) l).
  { apply Forall_forall. intros x I. apply in_flat_map in I. destruct I as (t & _ & I). apply in_map_iff in I.
    destruct I as (one & <- & I). apply filter_In in I. destruct I as [I _].
    pose proof (largest_ge (map snd t) (snd one) (in_map snd _ _ I)). unfold peak. lia. }
  clearbody l. destruct l as [|x l]; [apply Z.le_refl|]. cbn [largest]. inversion all as [|? ? X all']; subst. clear all.
  induction all' as [|y l Y _ IH]; cbn [fold_right]; lia.
Qed.

Lemma fall_ge : forall number tables a, right_tables number tables -> In (table_of a) uses -> In a (row (table_of a)) ->
  number a - nth (table_of a) (map peak tables) 0 <= fall tables (name a).
Proof.
  intros number tables a right U I. destruct (right _ U) as [small E]. unfold fall. apply largest_ge. apply in_flat_map.
  exists (nth (table_of a) tables []). split; [apply nth_In, small|].
  change 0 with (peak []). rewrite map_nth. apply in_map_iff. exists (name a, number a). split; [reflexivity|].
  apply filter_In. split; [|apply Nat.eqb_refl]. rewrite E. now apply (in_map (fun a => (name a, number a))).
Qed.

Lemma peak_ge : forall number tables a, right_tables number tables -> In (table_of a) uses -> In a (row (table_of a)) ->
  number a <= nth (table_of a) (map peak tables) 0.
Proof.
  intros number tables a right U I. destruct (right _ U) as [small E]. change 0 with (peak []). rewrite map_nth.
  unfold peak. rewrite E, map_map. cbn [snd]. apply largest_ge. now apply in_map.
Qed.

Lemma some_falls : forall d n cs, d <= 0 -> has name n cs = true ->
  add_up (map (fun a => if Nat.eqb (name a) n then d else 0) cs) <= d.
Proof.
  intros d n cs D. assert (G : forall cs, add_up (map (fun a => if Nat.eqb (name a) n then d else 0) cs) <= 0).
  { induction cs0 as [|a cs0 IH]; cbn [map add_up]; [lia|]. destruct (Nat.eqb (name a) n); lia. }
  unfold has. induction cs as [|a cs IH]; intros H; [discriminate|]. cbn [existsb map add_up] in *.
  destruct (Nat.eqb (name a) n); [specialize (G cs); lia|]. specialize (IH H). lia.
Qed.

Lemma largest_sum_ge : forall number tables also cs, right_tables number tables ->
  match also with None => True | Some t => t <> m end ->
  In cs (product rows) -> held name m also cs = true ->
  number_of number cs <= largest_sum tables uses m also.
Proof.
  intros number tables also cs right other I H. destruct (members_of_rows row table_of uses its_table cs I) as [E all].
  unfold held in H. apply andb_prop in H. destruct H as [Hm Ht]. unfold largest_sum.
  set (dt := match also with None => 0 | Some t => fall tables t end).
  set (is_t := fun n => match also with None => false | Some t => Nat.eqb n t end).
  assert (bound : number_of number cs <= add_up (map (fun a => nth (table_of a) (map peak tables) 0) cs)
    + add_up (map (fun a => if Nat.eqb (name a) m then fall tables m else 0) cs)
    + add_up (map (fun a => if is_t (name a) then dt else 0) cs)).
  { unfold number_of. clear I E Hm Ht. induction all as [|a cs [J U] all IH]; cbn [map add_up]; [lia|].
    assert (each : number a <= nth (table_of a) (map peak tables) 0 + (if Nat.eqb (name a) m then fall tables m else 0)
      + (if is_t (name a) then dt else 0)).
    { pose proof (fall_ge number tables a right U J) as F. pose proof (peak_ge number tables a right U J) as P.
      unfold is_t, dt. destruct (Nat.eqb (name a) m) eqn:M1.
      - apply Nat.eqb_eq in M1. destruct also as [t|]; [|rewrite <- M1; lia].
        destruct (Nat.eqb (name a) t) eqn:M2; [apply Nat.eqb_eq in M2; congruence | rewrite <- M1; lia].
      - destruct also as [t|]; [|lia]. destruct (Nat.eqb (name a) t) eqn:M2; [apply Nat.eqb_eq in M2; rewrite <- M2; lia | lia]. }
    lia. }
  replace (add_up (map (fun i => nth i (map peak tables) 0) uses))
    with (add_up (map (fun a => nth (table_of a) (map peak tables) 0) cs)) by (now rewrite <- E, map_map).
  pose proof (some_falls (fall tables m) m cs (fall_le_0 tables m) Hm).
  assert (add_up (map (fun a => if is_t (name a) then dt else 0) cs) <= dt).
  { unfold is_t, dt. destruct also as [t|]; [apply some_falls; [apply fall_le_0 | exact Ht]|].
    clear. induction cs as [|a cs IH]; cbn [map add_up]; lia. }
  lia.
Qed.
End Largest.

(** ** What the program counts *)

Section Sound.
Context {A : Type}.
Variables (row : nat -> list A) (table_of : A -> nat) (name : A -> nat).
Variables (uses : list nat) (m : nat).
Hypothesis its_table : forall i a, In a (row i) -> table_of a = i.
Notation rows := (map row uses).

Variables (limit : Z) (kinds : list (list Z * list table)) (least : Z -> list table) (may_be_below : Z -> bool) (all_wrong : Z).
Variables (class_number : nat -> A -> Z) (least_number : Z -> A -> Z).
Hypothesis kinds_right : forall j, (j < length kinds)%nat -> right_tables row name uses (class_number j) (snd (nth j kinds ([], []))).
Hypothesis least_right : forall y, may_be_below y = true -> right_tables row name uses (least_number y) (least y).
Notation counted := (count_parts limit kinds least may_be_below uses (runs_of uses) m all_wrong).

Definition behind (p : part) (cs : list A) : bool :=
  forallb (fun c => number_of (class_number (Z.to_nat (target c))) cs <? 0) (above p).

Definition level (p : part) (cs : list A) : bool :=
  match below p with [c] => 0 <=? number_of (least_number (target c)) cs | _ => false end.

(** No class that is counted in its part reaches 0. *)
Fixpoint settled (parts : list part) (cs : list A) : bool :=
  match parts with
  | [] => false
  | p :: rest => match token_of p with None => behind p cs | Some t => if has name t cs then behind p cs else settled rest cs end
  end.

(** The wrong token that is counted in its part from below does. *)
Fixpoint surely_wrong (parts : list part) (cs : list A) : bool :=
  match parts with
  | [] => false
  | p :: rest => match token_of p with None => level p cs | Some t => if has name t cs then level p cs else surely_wrong rest cs end
  end.

Definition left_by (gone : list nat) (a : A) : bool := negb (existsb (Nat.eqb (name a)) gone).

Lemma without_right : forall number tables gone, right_tables row name uses number tables -> forall i, In i uses ->
  (i < length (without gone tables))%nat /\
  nth i (without gone tables) [] = map (fun a => (name a, number a)) (filter (left_by gone) (row i)).
Proof.
  intros number tables gone right i U. destruct (right i U) as [small E]. unfold left_by. destruct gone as [|t gone]; cbn [without].
  - split; [assumption|]. rewrite E. f_equal. clear. induction (row i) as [|a l IH]; [reflexivity|].
    cbn [filter existsb negb]. now f_equal.
  - split; [now rewrite map_length|]. 
    transitivity (filter (fun one => negb (existsb (Nat.eqb (fst one)) (t :: gone))) (nth i tables []));
      [now apply nth_map|]. rewrite E, filter_map. reflexivity.
Qed.

Lemma filtered_table : forall gone i a, In a (filter (left_by gone) (row i)) -> table_of a = i.
Proof. intros gone i a I. apply filter_In in I. now apply its_table. Qed.

Lemma count_left : forall gone P, count P (map (fun i => filter (left_by gone) (row i)) uses) = count (fun cs => lacks name gone cs && P cs) rows.
Proof. intros gone P. rewrite <- (map_map row (filter (left_by gone))). apply count_filtered. Qed.

Lemma above_right : forall number tables gone c also n, right_tables row name uses number tables -> 0 < step_of c ->
  count_reaching true limit (without gone tables) uses (runs_of uses) (step_of c) (phases c) m also = Fine n ->
  count (fun cs => lacks name gone cs && (held name m also cs && (0 <=? number_of number cs))) rows <= n.
Proof.
  intros number tables gone c also n right positive E. rewrite <- count_left.
  exact (reaching_from_above (fun i => filter (left_by gone) (row i)) table_of name number (without gone tables) uses
    (filtered_table gone) (without_right number tables gone right) true (step_of c) (phases c) positive limit m also n eq_refl E).
Qed.

Lemma below_right : forall number tables gone c also n, right_tables row name uses number tables -> 0 < step_of c ->
  count_reaching false limit (without gone tables) uses (runs_of uses) (step_of c) (phases c) m also = Fine n ->
  n <= count (fun cs => lacks name gone cs && (held name m also cs && (0 <=? number_of number cs))) rows.
Proof.
  intros number tables gone c also n right positive E. rewrite <- count_left.
  exact (reaching_from_below (fun i => filter (left_by gone) (row i)) table_of name number (without gone tables) uses
    (filtered_table gone) (without_right number tables gone right) false (step_of c) (phases c) positive limit m also n eq_refl E).
Qed.

Lemma sum_of_right : forall f (lost : cut -> Z) cuts n, sum_of f cuts = Fine n ->
  (forall c x, In c cuts -> f c = Fine x -> lost c <= x) -> add_up (map lost cuts) <= n.
Proof.
  intros f lost. induction cuts as [|c cuts IH]; intros n E each; cbn [sum_of map add_up] in *.
  - apply fine_eq in E. lia.
  - destruct (f c) as [x|] eqn:F; [|discriminate]. destruct (sum_of f cuts) as [more|] eqn:G; [|discriminate].
    apply fine_eq in E. specialize (IH more eq_refl ltac:(intros; apply each; [now right | assumption])).
    specialize (each c x (or_introl eq_refl) F). lia.
Qed.

Notation tables_here gone := (map (fun kind : list Z * list table => without gone (snd kind)) kinds).

Lemma here_at : forall gone j, (j < length kinds)%nat -> nth j (tables_here gone) [] = without gone (snd (nth j kinds ([], []))).
Proof. intros gone j J. now rewrite (nth_map _ _ _ kinds j ([], [])). Qed.

(** What a part loses at least covers those in it that are not settled. *)
Lemma part_lost : forall gone p lost,
  forallb (fun c => (0 <=? target c) && (target c <? Z.of_nat (length kinds)) && (0 <? step_of c)) (above p) = true ->
  sum_of (fun c => count_reaching true limit (nth (Z.to_nat (target c)) (tables_here gone) []) uses (runs_of uses) (step_of c) (phases c) m (token_of p)) (above p) = Fine lost ->
  count (fun cs => (lacks name gone cs && held name m (token_of p) cs) && negb (behind p cs)) rows <= lost.
Proof.
  intros gone p lost valid E. rewrite forallb_forall in valid.
  apply Z.le_trans with (add_up (map (fun c => count (fun cs => (lacks name gone cs && held name m (token_of p) cs)
    && (0 <=? number_of (class_number (Z.to_nat (target c))) cs)) rows) (above p))).
  - apply Z.le_trans with (2 := count_union _ (fun cs => lacks name gone cs && held name m (token_of p) cs)
      (fun c cs => 0 <=? number_of (class_number (Z.to_nat (target c))) cs) (above p) rows).
    apply count_le. intros cs _ T. apply andb_prop in T. destruct T as [T1 T2]. rewrite T1. cbn [andb].
    unfold behind in T2. clear E valid. induction (above p) as [|c l IH]; [discriminate|]. cbn [forallb existsb] in *.
    rewrite Z.ltb_antisym in T2. destruct (0 <=? _); [reflexivity | exact (IH T2)].
  - apply (sum_of_right _ _ _ _ E). intros c x I F. specialize (valid c I). rewrite !andb_true_iff, Z.leb_le, !Z.ltb_lt in valid.
    destruct valid as [[low high] positive]. rewrite here_at in F by lia.
    pose proof (above_right (class_number (Z.to_nat (target c))) _ gone c (token_of p) x (kinds_right (Z.to_nat (target c)) ltac:(lia)) positive F) as B.
    apply Z.le_trans with (2 := B). apply count_le. intros cs _ T. now rewrite andb_assoc.
Qed.

Lemma held_none : forall t cs, held name m (Some t) cs = has name m cs && has name t cs.
Proof. reflexivity. Qed.

Lemma lacks_more : forall t gone cs, lacks name (t :: gone) cs = negb (has name t cs) && lacks name gone cs.
Proof.
  intros t gone. induction cs as [|a cs IH]; [reflexivity|].
  change (lacks name (t :: gone) (a :: cs))
    with (negb (Nat.eqb (name a) t || existsb (Nat.eqb (name a)) gone) && lacks name (t :: gone) cs).
  change (has name t (a :: cs)) with (Nat.eqb (name a) t || has name t cs).
  change (lacks name gone (a :: cs)) with (negb (existsb (Nat.eqb (name a)) gone) && lacks name gone cs). rewrite IH.
  destruct (Nat.eqb (name a) t), (existsb (Nat.eqb (name a)) gone), (has name t cs); reflexivity.
Qed.

Theorem parts_lost : forall parts gone lost missed, counted gone parts = Fine (lost, missed) ->
  count (fun cs => (lacks name gone cs && has name m cs) && negb (settled parts cs)) rows <= lost.
Proof.
  induction parts as [|p rest IH]; intros gone lost missed E; [discriminate|]. cbn [count_parts] in E.
  apply require_fine in E. destruct E as [other E]. apply require_fine in E. destruct E as [valid E].
  apply require_fine in E. destruct E as [_ E]. apply require_fine in E. destruct E as [_ E].
  destruct (sum_of _ (above p)) as [here|] eqn:S; [|discriminate]. apply part_lost in S; [|exact valid].
  match type of E with match ?b with _ => _ end = _ => destruct b as [low|]; [|discriminate] end.
  cbn [settled]. destruct (token_of p) as [t|] eqn:T.
  - destruct (count_parts _ _ _ _ _ _ _ _ (t :: gone) rest) as [[lost' missed']|] eqn:R; [|discriminate].
    assert (lost = here + lost') by (apply fine_eq in E; congruence). subst lost. specialize (IH _ _ _ R).
    rewrite (count_split _ (has name t)). apply Z.add_le_mono.
    + apply Z.le_trans with (2 := S). apply count_le. intros cs _ X. rewrite held_none.
      destruct (has name t cs); [|rewrite andb_false_r in X; discriminate]. rewrite andb_true_r in X.
      now rewrite andb_true_r.
    + apply Z.le_trans with (2 := IH). apply count_le. intros cs _ X. rewrite lacks_more.
      destruct (has name t cs); [rewrite andb_false_r in X; discriminate|]. rewrite andb_true_r in X. exact X.
  - assert (lost = here) by (apply fine_eq in E; congruence). subst lost. apply Z.le_trans with (2 := S). apply count_le.
    intros cs _ X. unfold held. now rewrite andb_true_r.
Qed.

Theorem parts_missed : forall parts gone lost missed, counted gone parts = Fine (lost, missed) ->
  missed <= count (fun cs => (lacks name gone cs && has name m cs) && surely_wrong parts cs) rows.
Proof.
  induction parts as [|p rest IH]; intros gone lost missed E; [discriminate|]. cbn [count_parts] in E.
  apply require_fine in E. destruct E as [other E]. apply require_fine in E. destruct E as [_ E].
  apply require_fine in E. destruct E as [valid E]. apply require_fine in E. destruct E as [_ E].
  destruct (sum_of _ (above p)) as [here|]; [|discriminate].
  assert (G : forall n, match below p with
      | [] => Fine 0
      | [c] => count_reaching false limit (without gone (least (target c))) uses (runs_of uses) (step_of c) (phases c) m (token_of p)
      | _ => Refused no_such_class
      end = Fine n ->
    n <= count (fun cs => (lacks name gone cs && held name m (token_of p) cs) && level p cs) rows).
  { intros n F. unfold level. destruct (below p) as [|c [|]]; [apply fine_eq in F; subst n; apply count_nonneg | | discriminate].
    cbn [forallb] in valid. rewrite andb_true_r in valid. apply andb_prop in valid. destruct valid as [may positive].
    apply Z.ltb_lt in positive. apply Z.le_trans with (1 := below_right _ _ gone c (token_of p) n (least_right _ may) positive F).
    apply count_le. intros cs _ X. now rewrite <- andb_assoc. }
  match type of E with match ?b with _ => _ end = _ => destruct b as [low|] eqn:L; [|discriminate] end.
  specialize (G low eq_refl) || specialize (G low L). cbn [surely_wrong]. destruct (token_of p) as [t|] eqn:T.
  - destruct (count_parts _ _ _ _ _ _ _ _ (t :: gone) rest) as [[lost' missed']|] eqn:R; [|discriminate].
    assert (missed = low + missed') by (apply fine_eq in E; congruence). subst missed. specialize (IH _ _ _ R).
    rewrite (count_split _ (has name t)). apply Z.add_le_mono.
    + apply Z.le_trans with (1 := G). apply count_le. intros cs _ X. rewrite held_none in X.
      destruct (has name t cs); [|rewrite !andb_false_r in X; discriminate]. rewrite andb_true_r in X.
      now rewrite andb_true_r.
    + apply Z.le_trans with (1 := IH). apply count_le. intros cs _ X. rewrite lacks_more in X.
      destruct (has name t cs); [discriminate|]. now rewrite andb_true_r.
  - assert (missed = low) by (apply fine_eq in E; congruence). subst missed. apply Z.le_trans with (1 := G). apply count_le.
    intros cs _ X. unfold held in X. now rewrite andb_true_r in X.
Qed.

(** Of a settled choice every wrong token is in a class whose sum is below 0. *)
Lemma held_by_someone : forall p here y, length here = length kinds ->
  Z.testbit (held_in kinds uses m p here) (Z.of_nat y) = true ->
  exists j, (j < length kinds)%nat /\ Z.testbit (hd 0 (fst (nth j kinds ([], [])))) (Z.of_nat y) = true /\
    ((exists c, In c (above p) /\ target c = Z.of_nat j) \/ largest_sum (nth j here []) uses m (token_of p) < 0).
Proof.
  intros p here y L T. unfold held_in in T.
  set (l := combine (seq 0 (length kinds)) (combine (map fst kinds) here)) in *.
  assert (members : forall j kind tables, In (j, (kind, tables)) l ->
    (j < length kinds)%nat /\ kind = fst (nth j kinds ([], [])) /\ tables = nth j here []).
  { intros j kind tables I. apply (In_nth _ _ (0%nat, ([], []))) in I. destruct I as (i & small & E).
    unfold l in *. rewrite !combine_length, map_length, seq_length in small.
    rewrite combine_nth in E by (rewrite seq_length, combine_length, map_length; lia). rewrite combine_nth in E by now rewrite map_length.
    rewrite seq_nth in E by lia. rewrite (nth_map _ _ fst kinds i ([], []) []) in E by lia. inversion E; subst.
    repeat split; lia. }
  clearbody l. induction l as [|[j [kind tables]] l IH]; [rewrite Z.bits_0 in T; discriminate|]. cbn [fold_right] in T.
  destruct (members j kind tables (or_introl eq_refl)) as (J & K & Q).
  assert (rest : Z.testbit (fold_right (fun (one : nat * (list Z * list table)) held =>
    let '(j, (kind, tables)) := one in
    if existsb (fun c => target c =? Z.of_nat j) (above p) || (largest_sum tables uses m (token_of p) <? 0)
    then Z.lor (hd 0 kind) held else held) 0 l) (Z.of_nat y) = true \/
    (Z.testbit (hd 0 kind) (Z.of_nat y) = true /\
     existsb (fun c => target c =? Z.of_nat j) (above p) || (largest_sum tables uses m (token_of p) <? 0) = true)).
  { destruct (existsb _ (above p) || _) eqn:C; [|now left]. rewrite Z.lor_spec in T. apply orb_prop in T. tauto. }
  destruct rest as [rest | [bit C]]; [apply IH; [exact rest | intros; apply members; now right]|].
  exists j. split; [exact J|]. split; [now rewrite <- K|]. apply orb_prop in C. destruct C as [C|C].
  - left. apply existsb_exists in C. destruct C as (c & I & E). apply Z.eqb_eq in E. now exists c.
  - right. rewrite <- Q. now apply Z.ltb_lt.
Qed.

Lemma part_settled : forall gone p cs y,
  match token_of p with None => True | Some t => t <> m end ->
  held_in kinds uses m p (tables_here gone) = all_wrong -> Z.testbit all_wrong (Z.of_nat y) = true ->
  In cs (product rows) -> lacks name gone cs = true -> held name m (token_of p) cs = true -> behind p cs = true ->
  exists j, (j < length kinds)%nat /\ Z.testbit (hd 0 (fst (nth j kinds ([], [])))) (Z.of_nat y) = true /\
    number_of (class_number j) cs < 0.
Proof.
  intros gone p cs y other E wrong I L H B. rewrite <- E in wrong.
  destruct (held_by_someone p _ y (map_length _ _) wrong) as (j & J & bit & C). exists j. split; [exact J|]. split; [exact bit|].
  destruct C as [(c & K & F) | less].
  - unfold behind in B. rewrite forallb_forall in B. specialize (B c K). rewrite F, Nat2Z.id in B. now apply Z.ltb_lt.
  - rewrite here_at in less by exact J.
    assert (I' : In cs (product (map (fun i => filter (left_by gone) (row i)) uses))).
    { apply in_product. apply in_product in I. revert I L. clear. intros I L. unfold lacks in L.
      remember (map row uses) as rs eqn:R. revert uses R. induction I as [|a r cs rs A1 _ IH]; intros us R; destruct us as [|u us]; try discriminate; [constructor|].
      inversion R; subst. cbn [forallb] in L. apply andb_prop in L. destruct L as [L1 L2]. cbn [map]. constructor; [|now apply IH].
      apply filter_In. split; [exact A1 | exact L1]. }
    apply Z.le_lt_trans with (2 := less).
    apply (largest_sum_ge (fun i => filter (left_by gone) (row i)) table_of name uses m (filtered_table gone)
      (class_number j) _ (token_of p) cs (without_right _ _ gone (kinds_right j J)) other I' H).
Qed.
Theorem settled_is_behind : forall parts gone lost missed, counted gone parts = Fine (lost, missed) ->
  forall cs y, Z.testbit all_wrong (Z.of_nat y) = true -> In cs (product rows) ->
  lacks name gone cs = true -> has name m cs = true -> settled parts cs = true ->
  exists j, (j < length kinds)%nat /\ Z.testbit (hd 0 (fst (nth j kinds ([], [])))) (Z.of_nat y) = true /\
    number_of (class_number j) cs < 0.
Proof.
  induction parts as [|p rest IH]; intros gone lost missed E cs y wrong I L H S; [discriminate|]. cbn [count_parts] in E.
  apply require_fine in E. destruct E as [other E]. apply require_fine in E. destruct E as [_ E].
  apply require_fine in E. destruct E as [_ E]. apply require_fine in E. destruct E as [all E]. apply Z.eqb_eq in all.
  destruct (sum_of _ (above p)) as [here|]; [|discriminate].
  match type of E with match ?b with _ => _ end = _ => destruct b as [low|]; [|discriminate] end.
  assert (other' : match token_of p with None => True | Some t => t <> m end).
  { destruct (token_of p) as [t|]; [|trivial]. now apply negb_true_iff, Nat.eqb_neq in other. }
  pose proof (part_settled gone p cs y other' all wrong I L) as G. unfold held in G. rewrite H in G. cbn [settled] in S.
  destruct (token_of p) as [t|]; [|now apply G].
  destruct (count_parts _ _ _ _ _ _ _ _ (t :: gone) rest) as [[lost' missed']|] eqn:R; [|discriminate].
  destruct (has name t cs) eqn:T; [now apply G|].
  apply (IH _ _ _ R cs y wrong I); [|exact H | exact S]. rewrite lacks_more, T. exact L.
Qed.

Theorem surely_wrong_is_level : forall parts gone lost missed, counted gone parts = Fine (lost, missed) ->
  forall cs, surely_wrong parts cs = true -> exists y, may_be_below y = true /\ 0 <= number_of (least_number y) cs.
Proof.
  induction parts as [|p rest IH]; intros gone lost missed E cs S; [discriminate|]. cbn [count_parts] in E.
  apply require_fine in E. destruct E as [_ E]. apply require_fine in E. destruct E as [_ E].
  apply require_fine in E. destruct E as [valid E]. apply require_fine in E. destruct E as [_ E].
  destruct (sum_of _ (above p)) as [here|]; [|discriminate].
  match type of E with match ?b with _ => _ end = _ => destruct b as [low|]; [|discriminate] end.
  assert (G : level p cs = true -> exists y, may_be_below y = true /\ 0 <= number_of (least_number y) cs).
  { unfold level. destruct (below p) as [|c [|]]; try discriminate. intros T. exists (target c). cbn [forallb] in valid.
    rewrite !andb_true_iff in valid. split; [tauto | now apply Z.leb_le]. }
  cbn [surely_wrong] in S. destruct (token_of p) as [t|]; [|now apply G].
  destruct (count_parts _ _ _ _ _ _ _ _ (t :: gone) rest) as [[lost' missed']|] eqn:R; [|discriminate].
  destruct (has name t cs); [now apply G|]. exact (IH _ _ _ R cs S).
Qed.
End Sound.
